import { describe, expect, it } from 'vitest';
import { recallPicture } from '../examples/pictures/recall.js';
import { schedulesPicture } from '../examples/pictures/schedules.js';
import { LRSchedulers } from '../src/index.js';
import { parsePage, textOf } from './support/report-page.js';

/** The pictures of the guides. `npm run pictures` draws them anew. */
const pictures = { schedules: schedulesPicture, recall: recallPicture };

describe.each(Object.entries(pictures))('docs/%s.svg', (name, draw) => {
  it('is the one that its module draws', async () => {
    await expect(draw()).toMatchFileSnapshot(`../docs/${name}.svg`);
  });

  it('is well-formed, and has colours for light and dark pages', () => {
    const text = draw();
    const { errors, elements } = parsePage(`<!DOCTYPE html><title></title>${text}`);
    expect(errors).toEqual([]);
    expect(elements.find(({ tagName }) => tagName === 'style')).toBeDefined();
    expect(text).toContain('prefers-color-scheme: dark');
    expect(text).not.toMatch(/(fill|stroke)="#(?!000")/);
  });
});

describe('the picture of the schedules', () => {
  it('shows every schedule', () => {
    const texts = parsePage(schedulesPicture())
      .elements.filter(({ tagName }) => tagName === 'text')
      .map(textOf);
    expect(texts).toEqual(expect.arrayContaining([...Object.keys(LRSchedulers), 'ReduceLROnPlateau', 'sequence']));
  });
});
