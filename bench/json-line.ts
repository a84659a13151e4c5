/** What a run found, as one line for machines. Four digits are more than any figure is good for; whole numbers stay whole. */
export function jsonLine(run: object): string {
  return JSON.stringify(run, (_name, value) => (typeof value === 'number' ? shortened(value) : value));
}

function shortened(value: number): number {
  return Number.isInteger(value) ? value : Number(value.toPrecision(4));
}
