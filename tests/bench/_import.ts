/** How long an import takes. Prints one line of JSON. */
import process from "node:process";

const task = JSON.parse(process.argv[2]!);
const before = process.memoryUsage.rss();
const cpu = process.cpuUsage();
const begun = performance.now();
await import(task.module);
const wallMs = performance.now() - begun;
const { user, system } = process.cpuUsage(cpu);
const mb = (process.memoryUsage.rss() - before) / 2 ** 20;
console.log(JSON.stringify({ wallMs, cpuMs: (user + system) / 1000, mb }));
process.exit(0);
