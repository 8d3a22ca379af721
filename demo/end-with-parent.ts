/**
 * Loaded before the program of each child (`--import`): a child whose parent is gone, however it went, ends as if it had been asked to.
 * Otherwise a killed demo would leave a proxy behind that nobody knows of.
 */
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
process.channel?.unref();
