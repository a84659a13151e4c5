/** Markdown tables that read well in a terminal too. */

import type { Ratio } from './median.ts';

/** A column: its head and the side its cells lean to. */
export interface Column {
  head: string;
  align?: 'left' | 'right';
}

/** Cells are padded to the widest of their column. */
export function markdownTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map(({ head }, index) => Math.max(head.length, 3, ...rows.map((row) => row[index]!.length)));
  const line = (cells: readonly string[]) => `| ${cells.map((cell, index) => padded(cell, index)).join(' | ')} |`;
  const padded = (cell: string, index: number) =>
    columns[index]!.align === 'right' ? cell.padStart(widths[index]!) : cell.padEnd(widths[index]!);
  const rule = columns.map(({ align }, index) => {
    const dashes = '-'.repeat(widths[index]! - 1);
    return align === 'right' ? `${dashes}:` : `${dashes}-`;
  });
  return [line(columns.map(({ head }) => head)), line(rule), ...rows.map(line)].join('\n');
}

/** 12,345 or 0.123: three significant digits below a thousand; a dash for a figure that could not be taken. */
export function figure(value: number | undefined): string {
  if (value === undefined) return '–';
  if (Math.abs(value) >= 1_000) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(3)));
}

/** The median, and the worst and best round behind it; a dash for what could not be compared. */
export function ratioText(ratio: Ratio | undefined): string {
  return ratio === undefined ? '–' : `${figure(ratio.median)} × (${figure(ratio.min)}–${figure(ratio.max)})`;
}
