// SPDX-License-Identifier: Apache-2.0
// The SDK's client finds the authorization server of an endpoint, gets a token and calls tools.
//   node oauth.mjs URL
// Prints the challenge's metadata, the tools and the results as one line of JSON.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const url = new URL(process.argv[2]);
const kept = {};
let code;

const provider = {
	redirectUrl: 'http://127.0.0.1:1/callback',
	clientMetadata: {
		client_name: 'tester',
		redirect_uris: ['http://127.0.0.1:1/callback'],
		grant_types: ['authorization_code'],
		response_types: ['code'],
		token_endpoint_auth_method: 'none',
	},
	clientInformation: () => kept.client,
	saveClientInformation: (client) => {
		kept.client = client;
	},
	tokens: () => kept.tokens,
	saveTokens: (tokens) => {
		kept.tokens = tokens;
	},
	saveCodeVerifier: (verifier) => {
		kept.verifier = verifier;
	},
	codeVerifier: () => kept.verifier,
	// The user's browser, which is sent back with a code.
	redirectToAuthorization: async (target) => {
		const answer = await fetch(target, { redirect: 'manual' });
		code = new URL(answer.headers.get('location')).searchParams.get('code');
	},
};

async function connect() {
	const client = new Client({ name: 'tester', version: '1' }, { capabilities: {} });
	const transport = new StreamableHTTPClientTransport(url, { authProvider: provider });
	try {
		await client.connect(transport);
	} catch (error) {
		if (!(error instanceof UnauthorizedError) || !code) {
			throw error;
		}
		await transport.finishAuth(code);
		return undefined;
	}
	return client;
}

const first = await connect();
const client = first ?? (await connect());
const tools = (await client.listTools()).tools.map((tool) => tool.name);
const result = await client.callTool({ name: 'echo', arguments: { message: 'x' } });
let refusal;
try {
	await client.callTool({ name: tools.includes('get-env') ? 'echo' : 'get-env', arguments: {} });
} catch (error) {
	refusal = error.message;
}
console.log(JSON.stringify({ wasRefused: !first, tools, text: result.content[0].text, refusal }));
await client.close();
