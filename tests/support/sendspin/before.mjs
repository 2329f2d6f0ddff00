// The Sendspin library of npm, by its public interface: says what becomes of its connection, a JSON object a line.
//
//   node --experimental-websocket before.mjs FOLDER_OF_NODE_MODULES http://HOST:PORT SECONDS

import { register } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, server, seconds] = process.argv.slice(2);
const tell = (event, more = {}) => process.stdout.write(JSON.stringify({ event, ...more }) + "\n");
console.log = console.error = console.warn = () => {};

// The package is made for bundlers: its files name each other without an ending.
const hooks = `
  export async function resolve(name, context, next) {
    return name.startsWith(".") && !/\\.[cm]?js$/.test(name) ? next(name + ".js", context) : next(name, context);
  }`;
register("data:text/javascript," + encodeURIComponent(hooks));

const library = pathToFileURL(`${modules}/@sendspin/sendspin-js/dist/index.js`).href;
const { SendspinCore } = await import(library);
const core = new SendspinCore({
  playerId: "npm-library",
  baseUrl: server,
  clientName: "npm library",
  codecs: ["pcm"],
  reconnect: { maxAttempts: 0 },
});
let chunks = 0;
core.onConnectionOpen = () => tell("open");
core.onConnectionClose = () => tell("closed");
core.onStreamStart = (format) => tell("start", { format });
core.onAudioData = () => (chunks += 1);
try {
  await core.connect();
} catch (error) {
  tell("failed", { why: String(error) });
}
setTimeout(() => {
  tell("end", { chunks, synced: core.timeSyncInfo.synced });
  process.exit(0);
}, Number(seconds) * 1000);
