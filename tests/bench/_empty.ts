/** What a script costs that does nothing. Prints one line of JSON. */
import process from "node:process";

const { user, system } = process.cpuUsage();
console.log(JSON.stringify({ cpuMs: (user + system) / 1000 }));
