// SPDX-License-Identifier: Apache-2.0
// A server made with the SDK that has what the conformance suite's server scenarios call.
//   node server.mjs                     on stdin and stdout
//   node server.mjs --http 8080         streamable HTTP on /mcp
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import * as types from '@modelcontextprotocol/sdk/types.js';

const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQ' +
	'DwAEhQGAhKmMIQAAAABJRU5ErkJggg==';
const SILENCE = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=';
const text = (value) => ({ type: 'text', text: value });
const image = { type: 'image', data: PIXEL, mimeType: 'image/png' };
const embedded = (uri, mimeType, value) => ({ type: 'resource', resource: { uri, mimeType, text: value } });

const PLAIN = { type: 'object', properties: {} };
const strings = (...names) => ({
	type: 'object', required: names,
	properties: Object.fromEntries(names.map((name) => [name, { type: 'string' }])),
});

const DEFAULTS = {
	name: { type: 'string', default: 'John Doe' },
	age: { type: 'integer', default: 30 },
	score: { type: 'number', default: 95.5 },
	status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
	verified: { type: 'boolean', default: true },
};
const THREE = ['option1', 'option2', 'option3'];
const titled = (words) => words.map((title, index) => ({ const: `value${index + 1}`, title }));
const ENUMS = {
	untitledSingle: { type: 'string', enum: THREE },
	titledSingle: { type: 'string', oneOf: titled(['First Option', 'Second Option', 'Third Option']) },
	legacyEnum: {
		type: 'string', enum: ['opt1', 'opt2', 'opt3'], enumNames: ['Option One', 'Option Two', 'Option Three'],
	},
	untitledMulti: { type: 'array', items: { type: 'string', enum: THREE } },
	titledMulti: { type: 'array', items: { anyOf: titled(['First Choice', 'Second Choice', 'Third Choice']) } },
};

async function ask(extra, message, properties, required = []) {
	const params = { message, requestedSchema: { type: 'object', properties, required } };
	return extra.sendRequest({ method: 'elicitation/create', params }, types.ElicitResultSchema);
}

const completed = ({ action, content }) =>
	[text(`Elicitation completed: action=${action}, content=${JSON.stringify(content ?? {})}`)];

const tell = (extra, method, params) => extra.sendNotification({ method, params });
const log = (extra, data) => tell(extra, 'notifications/message', { level: 'info', logger: 'conformance', data });

// name: [inputSchema, what it does with (arguments, extra)]
const TOOLS = {
	test_simple_text: [PLAIN, () => [text('This is a simple text response for testing.')]],
	test_image_content: [PLAIN, () => [image]],
	test_audio_content: [PLAIN, () => [{ type: 'audio', data: SILENCE, mimeType: 'audio/wav' }]],
	test_embedded_resource: [PLAIN, () =>
		[embedded('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')]],
	test_multiple_content_types: [PLAIN, () => [text('Multiple content types test:'), image,
		embedded('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}')]],
	test_error_handling: [PLAIN, () => {
		throw new Error('This tool intentionally returns an error for testing');
	}],
	test_tool_with_logging: [PLAIN, async (_, extra) => {
		await log(extra, 'Tool execution started');
		await pause(50);
		await log(extra, 'Tool processing data');
		await pause(50);
		await log(extra, 'Tool execution completed');
		return [text('three messages were logged')];
	}],
	test_tool_with_progress: [PLAIN, async (_, extra) => {
		const progressToken = extra._meta?.progressToken;
		for (const progress of [0, 50, 100]) {
			if (progressToken !== undefined) {
				await tell(extra, 'notifications/progress', { progressToken, progress, total: 100 });
			}
			await pause(50);
		}
		return [text('done')];
	}],
	test_sampling: [strings('prompt'), async ({ prompt }, extra) => {
		const params = { messages: [{ role: 'user', content: text(prompt) }], maxTokens: 100 };
		const request = { method: 'sampling/createMessage', params };
		const answer = await extra.sendRequest(request, types.CreateMessageResultSchema);
		return [text(`LLM response: ${answer.content.text}`)];
	}],
	test_elicitation: [strings('message'), async ({ message }, extra) => {
		const field = (description) => ({ type: 'string', description });
		const { action, content } = await ask(extra, message,
			{ username: field("User's response"), email: field("User's email address") }, ['username', 'email']);
		return [text(`User response: action: ${action}, content: ${JSON.stringify(content ?? {})}`)];
	}],
	test_elicitation_sep1034_defaults: [PLAIN, async (_, extra) =>
		completed(await ask(extra, 'Everything has a default', DEFAULTS))],
	test_elicitation_sep1330_enums: [PLAIN, async (_, extra) =>
		completed(await ask(extra, 'Choose', ENUMS))],
	test_reconnection: [PLAIN, async (_, extra) => {
		extra.closeSSEStream?.();
		await pause(100);
		return [text('answered behind the end of the stream')];
	}],
	json_schema_2020_12_tool: [{
		$schema: 'https://json-schema.org/draft/2020-12/schema', type: 'object', additionalProperties: false,
		$defs: { address: strings('street', 'city') },
		properties: { name: { type: 'string' }, address: { $ref: '#/$defs/address' } },
	}, (given) => [text(JSON.stringify(given))]],
};

const RESOURCES = {
	'test://static-text': ['text/plain', { text: 'This is the content of the static text resource.' }],
	'test://static-binary': ['image/png', { blob: PIXEL }],
	'test://watched-resource': ['text/plain', { text: 'watched' }],
};
const TEMPLATE = /^test:\/\/template\/([^/]+)\/data$/;

const user = (content) => ({ role: 'user', content });
const PROMPTS = {
	test_simple_prompt: [[], () => [user(text('This is a simple prompt for testing.'))]],
	test_prompt_with_arguments: [['arg1', 'arg2'], ({ arg1, arg2 }) =>
		[user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`))]],
	test_prompt_with_embedded_resource: [['resourceUri'], ({ resourceUri }) => [
		user(embedded(resourceUri, 'text/plain', 'Embedded resource content for testing.')),
		user(text('Please process the embedded resource above.'))]],
	test_prompt_with_image: [[], () => [user(image), user(text('Please analyze the image above.'))]],
};

function read({ params: { uri } }) {
	if (RESOURCES[uri]) {
		return { contents: [{ uri, mimeType: RESOURCES[uri][0], ...RESOURCES[uri][1] }] };
	}
	const id = TEMPLATE.exec(uri)?.[1];
	if (id === undefined) {
		throw new types.McpError(types.ErrorCode.InvalidParams, 'Resource not found', { uri });
	}
	const value = JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` });
	return { contents: [{ uri, mimeType: 'application/json', text: value }] };
}

async function call({ params }, extra) {
	const tool = TOOLS[params.name];
	if (!tool) {
		throw new types.McpError(types.ErrorCode.InvalidParams, `Unknown tool: ${params.name}`);
	}
	try {
		return { content: await tool[1](params.arguments ?? {}, extra) };
	} catch (error) {
		return { isError: true, content: [text(error.message)] };
	}
}

function prompt({ params }) {
	if (!PROMPTS[params.name]) {
		throw new types.McpError(types.ErrorCode.InvalidParams, `Unknown prompt: ${params.name}`);
	}
	return { messages: PROMPTS[params.name][1](params.arguments ?? {}) };
}

function makeServer() {
	const server = new Server({ name: 'headgate-conformance', version: '1.0.0' }, {
		capabilities: { tools: {}, resources: { subscribe: true }, prompts: {}, completions: {}, logging: {} },
	});
	const on = (schema, handler) => server.setRequestHandler(schema, handler);
	on(types.ListToolsRequestSchema, () => ({
		tools: Object.entries(TOOLS).map(([name, [inputSchema]]) =>
			({ name, description: `The tool ${name}`, inputSchema })),
	}));
	on(types.CallToolRequestSchema, call);
	on(types.ListResourcesRequestSchema, () => ({
		resources: Object.entries(RESOURCES).map(([uri, [mimeType]]) =>
			({ uri, name: uri, description: uri, mimeType })),
	}));
	on(types.ListResourceTemplatesRequestSchema, () => ({
		resourceTemplates: [
			{ uriTemplate: 'test://template/{id}/data', name: 'template', description: 'data by id' },
		],
	}));
	on(types.ReadResourceRequestSchema, read);
	on(types.SubscribeRequestSchema, () => ({}));
	on(types.UnsubscribeRequestSchema, () => ({}));
	on(types.ListPromptsRequestSchema, () => ({
		prompts: Object.entries(PROMPTS).map(([name, [words]]) => ({
			name, description: `The prompt ${name}`, arguments: words.map((word) => ({ name: word, required: true })),
		})),
	}));
	on(types.GetPromptRequestSchema, prompt);
	on(types.CompleteRequestSchema, () => ({ completion: { values: [], total: 0, hasMore: false } }));
	return server;
}

// The events of each stream, for a client that comes back: eventId is "<stream> <number>".
class Events {
	streams = new Map();

	async storeEvent(stream, message) {
		const past = this.streams.get(stream) ?? [];
		this.streams.set(stream, past);
		past.push(message);
		return `${stream} ${past.length}`;
	}

	async getStreamIdForEventId(id) {
		return id.slice(0, id.lastIndexOf(' '));
	}

	async replayEventsAfter(id, { send }) {
		const stream = await this.getStreamIdForEventId(id);
		const seen = Number(id.slice(stream.length + 1));
		const past = this.streams.get(stream) ?? [];
		for (let number = seen + 1; number <= past.length; number++) {
			// A stream begins with an event without a message.
			if (Object.keys(past[number - 1]).length) {
				await send(`${stream} ${number}`, past[number - 1]);
			}
		}
		return stream;
	}
}

function serveHttp(port) {
	const sessions = new Map();
	async function handle(request, response) {
		const id = request.headers['mcp-session-id'];
		let transport = sessions.get(id);
		if (!transport && id === undefined && request.method === 'POST') {
			transport = new StreamableHTTPServerTransport({
				sessionIdGenerator: randomUUID, eventStore: new Events(), retryInterval: 200,
				onsessioninitialized: (made) => sessions.set(made, transport),
				onsessionclosed: (made) => sessions.delete(made),
			});
			await makeServer().connect(transport);
		}
		if (transport) {
			await transport.handleRequest(request, response);
		} else {
			response.writeHead(id === undefined ? 400 : 404).end();
		}
	}
	createServer((request, response) => handle(request, response).catch((error) => {
		console.error(error);
		response.destroy();
	})).listen(port, '127.0.0.1', () => console.log(`listening on 127.0.0.1:${port}`));
}

const at = process.argv.indexOf('--http');
if (at > 0) {
	serveHttp(Number(process.argv[at + 1]));
} else {
	await makeServer().connect(new StdioServerTransport());
}
