// A proxy in a process of its own that delivers bytes late: `node delay.mjs <port of the server> <ms each way>`.
import { connect, createServer } from 'node:net';

const [port, ms] = process.argv.slice(2).map(Number);

createServer(client => {
  const server = connect(port, '127.0.0.1');
  pass(client, server);
  pass(server, client);
}).listen(0, '127.0.0.1', function () {
  console.log(this.address().port);
});

function pass(from, to) {
  from.setNoDelay(true);
  from.on('data', bytes => setTimeout(() => to.write(bytes), ms));
  from.on('close', () => setTimeout(() => to.destroy(), ms));
  from.on('error', () => to.destroy());
}
