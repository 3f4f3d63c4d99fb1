// SPDX-License-Identifier: Apache-2.0
// The SDK's client against server-everything and server-filesystem behind one endpoint.
//   node client.mjs URL http|sse PREFIX_OF_EVERYTHING PREFIX_OF_FILES DIRECTORY
// A line "ok CLAIM" or "FAIL CLAIM: why" for each claim; exit status 1 when one failed.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import * as types from '@modelcontextprotocol/sdk/types.js';

const [url, kind, one, two, folder] = process.argv.slice(2);
let failed = 0;

async function claim(name, check) {
	let timer;
	const late = new Promise((_, reject) => {
		timer = setTimeout(() => reject(new Error('no end after 60 s')), 60000);
	});
	try {
		await Promise.race([check(), late]);
		console.log(`ok ${name}`);
	} catch (error) {
		failed++;
		console.log(`FAIL ${name}: ${error.message.replaceAll('\n', ' ')}`);
	} finally {
		clearTimeout(timer);
	}
}

function want(condition, got) {
	if (!condition) {
		throw new Error(`got ${JSON.stringify(got)?.slice(0, 300)}`);
	}
}

const textOf = (result) => result.content.map((part) => part.text ?? '').join('');
const uriOf = (prefix, uri) => (prefix ? `${prefix.slice(0, -1)}+${uri}` : uri);

async function connect(name) {
	const capabilities = { sampling: {}, elicitation: {}, roots: {} };
	const client = new Client({ name, version: '1' }, { capabilities });
	const asked = [];
	client.setRequestHandler(types.CreateMessageRequestSchema, ({ params }) => {
		asked.push('sampling');
		const text = `${name} says ${params.messages[0].content.text}`;
		return { role: 'assistant', model: name, content: { type: 'text', text } };
	});
	client.setRequestHandler(types.ElicitRequestSchema, () => {
		asked.push('elicitation');
		return { action: 'decline' };
	});
	client.setRequestHandler(types.ListRootsRequestSchema, () => {
		asked.push('roots');
		return { roots: [{ uri: `file://${folder}`, name }] };
	});
	const Transport = kind === 'sse' ? SSEClientTransport : StreamableHTTPClientTransport;
	const transport = new Transport(new URL(url));
	await client.connect(transport);
	return { client, transport, asked };
}

const anna = await connect('anna');
const bert = await connect('bert');
const call = (who, name, given = {}, ...more) =>
	who.client.callTool({ name, arguments: given }, undefined, ...more);

await claim('ping', () => anna.client.ping());
await claim('the tools of both servers are listed', async () => {
	const names = (await anna.client.listTools()).tools.map((tool) => tool.name);
	want(names.includes(`${one}echo`) && names.includes(`${two}read_text_file`), names);
});
await claim('echo and structured content', async () => {
	want(textOf(await call(anna, `${one}echo`, { message: 'é✓' })).includes('é✓'), 'no echo');
	const result = await call(anna, `${one}get-structured-content`, { location: 'Chicago' });
	want(result.structuredContent?.temperature !== undefined, result);
});
await claim('an image', async () => {
	const result = await call(anna, `${one}get-tiny-image`);
	want(result.content.some((part) => part.type === 'image' && part.data.length > 100), result);
});
await claim('a file is written, listed and read', async () => {
	await call(anna, `${two}write_file`, { path: `${folder}/a.txt`, content: 'from the client' });
	want(textOf(await call(bert, `${two}list_directory`, { path: folder })).includes('a.txt'), 'not listed');
	const got = textOf(await call(bert, `${two}read_text_file`, { path: `${folder}/a.txt` }));
	want(got === 'from the client', got);
});
await claim('a path outside is refused by the server', async () => {
	const result = await call(anna, `${two}read_text_file`, { path: '/etc/passwd' });
	want(result.isError, result);
});
await claim('sampling reaches the client that called, of two', async () => {
	const calls = [anna, bert].map((who) => call(who, `${one}trigger-sampling-request`, { prompt: 'hello' }));
	const [first, second] = (await Promise.all(calls)).map(textOf);
	want(first.includes('anna says') && !first.includes('bert says'), first);
	want(second.includes('bert says') && !second.includes('anna says'), second);
});
await claim('elicitation reaches the client', async () => {
	await call(bert, `${one}trigger-elicitation-request`);
	want(bert.asked.includes('elicitation') && !anna.asked.includes('elicitation'), bert.asked);
});
await claim('progress', async () => {
	const seen = [];
	await call(anna, `${one}trigger-long-running-operation`, { duration: 1, steps: 4 },
		{ onprogress: ({ progress }) => seen.push(progress) });
	// The last one may be behind the answer, which the client then takes for the end of it.
	want(seen.length >= 3 && seen.every((step, number) => step === number + 1), seen);
});
await claim('a call that the client gives up does not disturb the next one', async () => {
	const given = { duration: 30, steps: 3 };
	const error = await call(anna, `${one}trigger-long-running-operation`, given, { timeout: 300 })
		.catch((thrown) => thrown);
	want(error instanceof types.McpError && error.code === types.ErrorCode.RequestTimeout, String(error));
	want(textOf(await call(anna, `${one}echo`, { message: 'after' })).includes('after'), 'no echo');
});
await claim('resources: list, templates, read, subscribe', async () => {
	const { resources } = await anna.client.listResources();
	want(resources.length > 0, resources);
	const { contents } = await anna.client.readResource({ uri: resources[0].uri });
	want(contents.length === 1 && contents[0].uri === resources[0].uri, contents);
	const { resourceTemplates } = await anna.client.listResourceTemplates();
	const named = resourceTemplates.every((found) => found.uriTemplate.startsWith(uriOf(one, '')));
	want(resourceTemplates.length > 0 && named, resourceTemplates);
	await anna.client.subscribeResource({ uri: resources[0].uri });
	await anna.client.unsubscribeResource({ uri: resources[0].uri });
});
await claim('prompts: list, get, completion', async () => {
	const { prompts } = await anna.client.listPrompts();
	want(prompts.some((found) => found.name === `${one}args-prompt`), prompts);
	const got = await anna.client.getPrompt({ name: `${one}args-prompt`, arguments: { city: 'Bern' } });
	want(JSON.stringify(got.messages).includes('Bern'), got);
	const { completion } = await anna.client.complete({
		ref: { type: 'ref/prompt', name: `${one}completable-prompt` }, argument: { name: 'department', value: 'E' },
	});
	want(completion.values.includes('Engineering'), completion);
});
await claim('the level of logs', () => anna.client.setLoggingLevel('debug'));
await claim('a hundred calls at once', async () => {
	const calls = Array.from({ length: 100 }, (_, number) =>
		call(number % 2 ? anna : bert, `${one}get-sum`, { a: number, b: 1 }));
	const answers = (await Promise.all(calls)).map(textOf);
	want(answers.every((answer, number) => answer.includes(`${number + 1}`)), answers);
});
await claim('an unknown tool is an error', async () => {
	const result = await call(anna, `${one}no-such-tool`).catch((error) => ({ isError: true, error }));
	want(result.isError, result);
});
await claim('the session ends', async () => {
	if (kind === 'http') {
		await anna.transport.terminateSession();
		const error = await bert.client.ping().then(() => null, (thrown) => thrown);
		want(error === null, String(error));
	}
	await anna.client.close();
	await bert.client.close();
});
process.exit(failed ? 1 : 0);
