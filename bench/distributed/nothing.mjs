export default shard => shard;
