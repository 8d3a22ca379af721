/** Real time: for system tests only, where the time is the scenario's own. */
export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
