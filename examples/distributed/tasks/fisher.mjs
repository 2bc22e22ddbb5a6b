import { fisherOf, loadTrained } from '../lib/fisher.mjs';
import { shardOf } from '../lib/training.mjs';

const trained = await loadTrained();

/** The Fisher of one shard, as the JSON of its `EWCManager`. */
export default function fisher({ shard }) {
  const ewc = fisherOf(trained, shardOf(trained.task, shard).training);
  return new TextEncoder().encode(JSON.stringify(ewc.export({ adapters: trained.adapters })));
}
