/**
 * A page about a training.
 *
 * @module report
 */

import { checkKnownNames } from './internal/known-names.js';
import type { Schedule } from './lr-schedulers/schedule.js';
import { CALL, checkText } from './report/checks.js';
import { continualSection, type ReportContinual } from './report/continual.js';
import { evaluationSection, type ReportEvaluation } from './report/evaluation.js';
import { examplesSection, type ReportExample } from './report/examples.js';
import { html, trusted } from './report/html.js';
import type { ReportMetrics } from './report/metrics.js';
import { type ReportSetting, settingsSection } from './report/settings.js';
import { STYLE } from './report/style.js';
import { type ReportSchedule, type ReportStep, trainingSection } from './report/training.js';

export type { ContinualMetrics } from './continual-metrics.js';
export type { Schedule } from './lr-schedulers/schedule.js';
export type { RetrievalMetrics } from './retriever.js';
export type {
  ReportContinual,
  ReportEvaluation,
  ReportExample,
  ReportMetrics,
  ReportSchedule,
  ReportSetting,
  ReportStep,
};

/** The parts of a report. A part that is absent or empty is not drawn. */
export interface TrainingReportOptions<Part extends Schedule = Schedule> {
  /** The heading of the page. */
  title: string;
  /** A few sentences below the heading. */
  description?: string;
  /**
   * Language of the texts, as a BCP 47 tag.
   *
   * @default 'en'
   */
  language?: string;
  /** The steps of the training, in order: losses alone, or losses with more. */
  steps?: readonly (number | ReportStep)[] | Float64Array | Float32Array;
  /** The schedule of the learning rate, or the rate of each step, at least 0. */
  schedule?: ReportSchedule<Part> | readonly number[] | Float64Array | Float32Array;
  /** Evaluations in the course of the training, in order: results of `Retriever.evaluate`. */
  evaluations?: readonly ReportEvaluation[];
  /** What the evaluations are compared with, by name: the untrained start, an untrained text index. */
  baselines?: Readonly<Record<string, ReportMetrics>>;
  /**
   * The evaluation whose weights were kept: a `KeepBest` that took one metric per evaluation, or the index of the
   * evaluation as `bestStep`.
   */
  keepBest?: { readonly bestStep: number | null };
  /** Scores of tasks that were learned one after the other, or several such sequences. */
  continual?: ReportContinual | readonly ReportContinual[];
  /** Queries with what was found before and after. */
  examples?: readonly ReportExample[];
  /** Settings of the training, by name. */
  settings?: { readonly [name: string]: ReportSetting };
  /** The seed, or seeds by name: unsigned 32-bit integers. */
  seeds?: number | Readonly<Record<string, number>>;
  /** Versions of programs and data, by name. */
  versions?: Readonly<Record<string, string>>;
  /** A hash of the adapter's file, or hashes by name. */
  fingerprint?: string | Readonly<Record<string, string>>;
}

/** All options. An option that is missing here does not compile. */
const OPTIONS: { [Name in keyof Required<TrainingReportOptions>]: true } = {
  title: true,
  description: true,
  language: true,
  steps: true,
  schedule: true,
  evaluations: true,
  baselines: true,
  keepBest: true,
  continual: true,
  examples: true,
  settings: true,
  seeds: true,
  versions: true,
  fingerprint: true,
};

/** Stops whatever a page might load or run. A report needs its own style alone. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'";

/**
 * Writes an HTML page about a training: loss and learning rate, metrics by epoch, the task matrix, examples, settings.
 * The page is one file without scripts. It suits light and dark screens, phones and paper.
 *
 * All texts are escaped, so they may come from anywhere. The same options give the same page.
 *
 * @param options The title and any of the parts.
 * @returns The page, to be saved as UTF-8.
 * @throws TypeError or RangeError that names the part, the row and the value.
 *
 * @example
 * ```js
 * import { trainingReport } from 'microlora-training-utils/report';
 *
 * const page = trainingReport({ title: 'A first training', steps: [0.9, 0.5, 0.3], seeds: 1 });
 * console.log(page.startsWith('<!DOCTYPE html>'), page.includes('Loss by step')); // true true
 * ```
 */
export function trainingReport<Part extends Schedule = Schedule>(options: TrainingReportOptions<Part>): string {
  checkKnownNames(CALL, options, Object.keys(OPTIONS));
  const { title, description, language = 'en' } = options;
  checkText('title', title);
  checkText('language', language);
  const lead = description === undefined ? '' : checkText('description', description);
  const sections = [
    trainingSection(options.steps, options.schedule),
    evaluationSection(options.evaluations, options.baselines, options.keepBest),
    continualSection(options.continual),
    examplesSection(options.examples),
    settingsSection(options.settings, options.seeds, options.versions, options.fingerprint),
  ];
  return html`<!DOCTYPE html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="${trusted(POLICY)}">
<title>${title}</title>
<style>
${trusted(STYLE)}</style>
</head>
<body>
<main>
<h1 dir="auto">${title}</h1>
${lead === '' ? undefined : html`<p class="lead" dir="auto">${lead}</p>`}
${sections}</main>
</body>
</html>
`.text;
}
