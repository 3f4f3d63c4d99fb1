/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/protocol/message.h"

#include <errno.h>
#include <stdlib.h>

#include "user/base/check.h"
#include "user/base/limits.h"

static const struct span version_texts[MCP_VERSION_COUNT] = {
	[MCP_2024_11_05] = SPAN("2024-11-05"), [MCP_2025_03_26] = SPAN("2025-03-26"),
	[MCP_2025_06_18] = SPAN("2025-06-18"), [MCP_2025_11_25] = SPAN("2025-11-25"),
	[MCP_2026_07_28] = SPAN("2026-07-28"),
};

enum mcp_version mcp_version_of(struct span text)
{
	for (enum mcp_version v = MCP_VERSION_NONE + 1; v < MCP_VERSION_COUNT; v++) {
		if (span_eq(text, version_texts[v]))
			return v;
	}
	return MCP_VERSION_NONE;
}

struct span mcp_version_text(enum mcp_version version)
{
	return version_texts[version];
}

static const struct span method_texts[MCP_METHOD_COUNT] = {
#define MCP_METHOD(id, text) [MCP_METHOD_##id] = SPAN(text),
#include "user/mcp/protocol/methods.def"
#undef MCP_METHOD
};

static enum mcp_method method_of(struct span text)
{
	for (enum mcp_method m = MCP_METHOD_OTHER + 1; m < MCP_METHOD_COUNT; m++) {
		if (span_eq(text, method_texts[m]))
			return m;
	}
	return MCP_METHOD_OTHER;
}

struct span mcp_method_text(enum mcp_method method)
{
	return method_texts[method];
}

/* ---- members of a message ---- */

/* A JSON number without fraction and exponent. */
static bool is_integer(struct span value)
{
	size_t at = value.len && value.data[0] == '-';

	for (size_t i = at; i < value.len; i++) {
		if ((unsigned char)(value.data[i] - '0') > 9)
			return false;
	}
	return value.len > at;
}

static bool is_id(struct span value)
{
	enum mcp_json_type type = mcp_json_type(value);

	return value.len <= LIMIT_MCP_ID_BYTES &&
	       (type == MCP_JSON_STRING || (type == MCP_JSON_NUMBER && is_integer(value)));
}

/* Returns the value if it is a string within the length limit, else an empty span. */
static struct span named(struct span value)
{
	if (mcp_json_type(value) != MCP_JSON_STRING || value.len > LIMIT_MCP_NAME_BYTES)
		return (struct span){ NULL, 0 };
	return value;
}

static bool read_meta(struct mcp_message *m, struct span meta)
{
	static const struct span names[] = {
		SPAN("progressToken"),
		SPAN("io.modelcontextprotocol/protocolVersion"),
		SPAN("io.modelcontextprotocol/subscriptionId"),
		SPAN("io.modelcontextprotocol/clientCapabilities"),
	};
	struct span values[ARRAY_LEN(names)];

	if (mcp_json_type(meta) != MCP_JSON_OBJECT)
		return true;
	m->meta = meta;
	if (!mcp_json_members(meta, names, ARRAY_LEN(names), values))
		return false;
	if (is_id(values[0]) && m->kind == MCP_REQUEST)
		m->token = values[0];
	if (mcp_json_type(values[1]) == MCP_JSON_STRING) {
		m->version_text = mcp_json_string(values[1]);
		m->is_modern = true;
	}
	if (is_id(values[2]))
		m->subscription = values[2];
	m->has_capabilities = mcp_json_type(values[3]) == MCP_JSON_OBJECT;
	return true;
}

/* Reads the reference of a completion request. */
static bool read_ref(struct mcp_message *m, struct span ref)
{
	static const struct span names[] = { SPAN("name"), SPAN("uri") };
	struct span values[ARRAY_LEN(names)];

	if (!mcp_json_members_strict(ref, names, ARRAY_LEN(names), values, &m->has_alias))
		return false;
	m->name = named(values[0]);
	m->uri = named(values[1]);
	return true;
}

static bool read_params(struct mcp_message *m)
{
	enum { META, NAME, URI, TASK, CURSOR, TOKEN, REQUEST_ID, VERSION, REF, COUNT };
	static const struct span names[COUNT] = {
		[META] = SPAN("_meta"),
		[NAME] = SPAN("name"),
		[URI] = SPAN("uri"),
		[TASK] = SPAN("taskId"),
		[CURSOR] = SPAN("cursor"),
		[TOKEN] = SPAN("progressToken"),
		[REF] = SPAN("ref"),
		[REQUEST_ID] = SPAN("requestId"),
		[VERSION] = SPAN("protocolVersion"),
	};
	struct span values[COUNT];

	if (m->params.len == 0)
		return true;
	if (!mcp_json_members_strict(m->params, names, COUNT, values, &m->has_alias) ||
	    !read_meta(m, values[META]))
		return false;
	m->name = named(values[NAME]);
	m->uri = named(values[URI]);
	m->task = named(values[TASK]);
	m->cursor = named(values[CURSOR]);
	if (m->method == MCP_METHOD_PROGRESS && is_id(values[TOKEN]))
		m->token = values[TOKEN];
	if (m->method == MCP_METHOD_CANCELLED && is_id(values[REQUEST_ID]))
		m->request_id = values[REQUEST_ID];
	/* With its own version, it is the initialize of older protocol versions, whatever _meta contains. */
	if (m->method == MCP_METHOD_INITIALIZE && mcp_json_type(values[VERSION]) == MCP_JSON_STRING) {
		m->version_text = mcp_json_string(values[VERSION]);
		m->is_modern = false;
	}
	return m->method != MCP_METHOD_COMPLETE || read_ref(m, values[REF]);
}

/* ---- the envelope ---- */

enum { JSONRPC, ID, METHOD, PARAMS, RESULT, ERROR, ENVELOPE_COUNT };

static enum mcp_fault read_call(struct mcp_message *m, const struct span *values)
{
	if (values[RESULT].len || values[ERROR].len)
		return MCP_ENVELOPE;
	m->method_text = mcp_json_string(values[METHOD]);
	if (m->method_text.len == 0 || m->method_text.len > LIMIT_MCP_ID_BYTES ||
	    span_find(m->method_text, '\\') >= 0)
		return MCP_ENVELOPE;
	m->method = method_of(m->method_text);
	m->kind = values[ID].len ? MCP_REQUEST : MCP_NOTIFICATION;
	if (values[ID].len && !is_id(values[ID]))
		return MCP_BAD_ID;
	if (mcp_json_type(values[PARAMS]) != MCP_JSON_OBJECT &&
	    mcp_json_type(values[PARAMS]) != MCP_JSON_NONE)
		return MCP_ENVELOPE;
	m->params = values[PARAMS];
	return read_params(m) ? MCP_NONE : MCP_DOUBLE_KEY;
}

static enum mcp_fault read_answer(struct mcp_message *m, const struct span *values)
{
	if ((values[RESULT].len == 0) == (values[ERROR].len == 0))
		return MCP_ENVELOPE;
	if (values[RESULT].len) {
		m->kind = MCP_RESULT;
		m->result = values[RESULT];
		return is_id(values[ID]) ? MCP_NONE : MCP_BAD_ID;
	}
	m->kind = MCP_ERROR;
	m->error = values[ERROR];
	if (mcp_json_type(m->error) != MCP_JSON_OBJECT)
		return MCP_ENVELOPE;
	/* An error about an unreadable message has no id. */
	if (mcp_json_type(values[ID]) == MCP_JSON_NULL)
		m->id = (struct span){ NULL, 0 };
	else if (values[ID].len && !is_id(values[ID]))
		return MCP_BAD_ID;
	return MCP_NONE;
}

static enum mcp_fault read_one(struct span text, struct mcp_message *m)
{
	static const struct span names[ENVELOPE_COUNT] = {
		[JSONRPC] = SPAN("jsonrpc"), [ID] = SPAN("id"),		[METHOD] = SPAN("method"),
		[PARAMS] = SPAN("params"),   [RESULT] = SPAN("result"), [ERROR] = SPAN("error"),
	};
	struct span values[ENVELOPE_COUNT];
	bool is_plain;

	*m = (struct mcp_message){ .text = text };
	if (mcp_json_type(text) != MCP_JSON_OBJECT)
		return MCP_ENVELOPE;
	is_plain = mcp_json_members_strict(text, names, ENVELOPE_COUNT, values, &m->has_alias);
	if (is_plain && is_id(values[ID]))
		m->id = values[ID];
	if (!is_plain)
		return MCP_DOUBLE_KEY;
	m->method_text = values[METHOD]; /* read_call() replaces it */
	if (!span_eq(values[JSONRPC], SPAN("\"2.0\"")))
		return MCP_ENVELOPE;
	return values[METHOD].len ? read_call(m, values) : read_answer(m, values);
}

/* ---- a body or line ---- */

static enum mcp_fault read_batch(struct mcp_post *post)
{
	struct mcp_json_walk walk = mcp_json_walk_of(post->text);
	struct span key, value;

	while (mcp_json_next(&walk, &key, &value)) {
		struct mcp_message m;
		enum mcp_fault fault = post->count < LIMIT_MCP_BATCH ? read_one(value, &m) : MCP_BATCH_SIZE;

		if (fault)
			return fault;
		if (post->count++ == 0)
			post->first = m;
		post->requests += m.kind == MCP_REQUEST;
	}
	return post->count ? MCP_NONE : MCP_BATCH_SIZE;
}

enum mcp_fault mcp_post_read(struct mcp_json_checker *checker, struct span text, struct mcp_post *ret)
{
	enum mcp_fault fault;
	int error;

	*ret = (struct mcp_post){ 0 };
	if (text.len > LIMIT_MCP_MESSAGE_MAX)
		return MCP_TOO_LARGE;
	error = mcp_json_check(checker, text);
	if (error)
		return error == -ENOMEM ? MCP_NO_MEMORY : error == -ELOOP ? MCP_TOO_DEEP : MCP_NOT_JSON;
	ret->text = mcp_json_trim(text);
	ret->is_batch = mcp_json_type(ret->text) == MCP_JSON_ARRAY;
	if (ret->is_batch)
		return read_batch(ret);
	fault = read_one(ret->text, &ret->first);
	ret->count = 1;
	ret->requests = !fault && ret->first.kind == MCP_REQUEST;
	return fault;
}

bool mcp_post_next(const struct mcp_post *post, size_t *at, struct mcp_message *ret)
{
	struct mcp_json_walk walk = { .left = span_from(post->text, *at) };
	struct span key, value;

	if (!post->is_batch) {
		if (*at)
			return false;
		*at = 1;
		*ret = post->first;
		return true;
	}
	if (*at == 0)
		walk = mcp_json_walk_of(post->text);
	if (!mcp_json_next(&walk, &key, &value))
		return false;
	*at = (size_t)(value.data + value.len - post->text.data);
	return read_one(value, ret) == MCP_NONE;
}

bool mcp_post_is_initialize(const struct mcp_post *post)
{
	return !post->is_batch && post->first.kind == MCP_REQUEST &&
	       post->first.method == MCP_METHOD_INITIALIZE;
}

bool mcp_message_is_modern(const struct mcp_message *m)
{
	return m->is_modern;
}
