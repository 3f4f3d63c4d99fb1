// SPDX-License-Identifier: Apache-2.0
// A server and a client with Node's standard library: `serve PORT`, `ask URL`.
import { createHash } from 'node:crypto';
import http from 'node:http';

const SIZE = 4 << 20;
const BIG = Buffer.alloc(SIZE);
for (let i = 0; i < SIZE; i++) BIG[i] = ((i & 0xffff) * 31 + ((i & 0xffff) >> 8)) & 255;

function reply(response, body, length = body.length) {
	response.writeHead(200, { 'Content-Length': length });
	response.write(body);
	return response;
}

function serve(request, response) {
	if (request.method === 'PUT') {
		const digest = createHash('sha256');
		request.on('data', (piece) => digest.update(piece));
		request.on('end', () => reply(response, digest.digest('hex') + '\n').end());
	} else if (request.url === '/big') {
		reply(response, BIG).end();
	} else if (request.url === '/cut') {
		reply(response, BIG.subarray(0, 100000), 1000000);
		setTimeout(() => request.socket.end(), 10);
	} else {
		reply(response, 'small\n').end();
	}
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function exchange(method, url, body) {
	return new Promise((resolve, reject) => {
		const request = http.request(url, { method, agent }, (response) => {
			const pieces = [];
			response.on('data', (piece) => pieces.push(piece));
			response.on('end', () => resolve(Buffer.concat(pieces)));
			response.on('error', reject);
		});
		request.on('error', reject);
		if (body) request.setHeader('Content-Length', body.length);
		request.end(body);
	});
}

async function ask(url) {
	let small = 0;
	for (let i = 0; i < 20; i++) small += String(await exchange('GET', url + '/small')) === 'small\n' ? 1 : 0;
	console.log('small', small);
	console.log('big', createHash('sha256').update(await exchange('GET', url + '/big')).digest('hex'));
	console.log('sum', String(await exchange('PUT', url + '/sum', BIG)).trim());
	try {
		console.log('cut', (await exchange('GET', url + '/cut')).length);
	} catch {
		console.log('cut: seen');
	}
	agent.destroy();
}

if (process.argv[2] === 'serve') http.createServer(serve).listen(Number(process.argv[3]), '127.0.0.1');
else await ask(process.argv[3]);
