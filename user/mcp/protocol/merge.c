/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/protocol/merge.h"

#include <errno.h>

#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/char_class.h"
#include "user/mcp/protocol/rewrite.h"

enum {
	MERGE_KEYS = 64, /* members of one capability that are merged */
	MERGE_DEPTH = 2, /* the capabilities object, and the objects in it */
};

struct list_row {
	enum mcp_method method;
	struct span list_key;
	struct span item_key;
};

static const struct list_row lists[] = {
	{ MCP_METHOD_TOOLS_LIST, SPAN("tools"), SPAN("name") },
	{ MCP_METHOD_PROMPTS_LIST, SPAN("prompts"), SPAN("name") },
	{ MCP_METHOD_RESOURCES_LIST, SPAN("resources"), SPAN("uri") },
	{ MCP_METHOD_TEMPLATES_LIST, SPAN("resourceTemplates"), SPAN("uriTemplate") },
	{ MCP_METHOD_TASKS_LIST, SPAN("tasks"), SPAN("taskId") },
};

static const struct list_row *list_row(enum mcp_method method)
{
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		if (lists[i].method == method)
			return &lists[i];
	}
	return NULL;
}

struct span mcp_merge_list_key(enum mcp_method method)
{
	const struct list_row *row = list_row(method);

	return row ? row->list_key : (struct span){ NULL, 0 };
}

/* ---- cursors ---- */

static void cursor_add(struct text *cursor, uint32_t target, struct span inner)
{
	text_fmt(cursor, "%s%u-", cursor->len ? "." : "", target);
	for (size_t i = 0; i < inner.len; i++)
		text_fmt(cursor, "%02x", (unsigned int)(unsigned char)inner.data[i]);
}

/* The caller has reserved enough memory, so earlier spans stay valid. */
static int cursor_unhex(struct text *room, struct span hex, struct span *ret)
{
	size_t start = room->len;

	if (hex.len % 2)
		return -EINVAL;
	for (size_t i = 0; i < hex.len; i += 2) {
		int high = octet_hex(hex.data[i]);
		int low = octet_hex(hex.data[i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		text_char(room, (char)(high << 4 | low));
	}
	*ret = span_of(room->data + start, room->len - start);
	/* A message will contain it unescaped. */
	return mcp_json_is_inner(*ret) ? 0 : -EINVAL;
}

int mcp_merge_cursor_read(struct span cursor, struct text *room, uint32_t targets, struct span *ret_cursors)
{
	struct span part;

	for (uint32_t i = 0; i < targets; i++)
		ret_cursors[i] = (struct span){ NULL, 0 };
	/* Reserve the maximum, so that the buffer does not move. */
	text_add(room, cursor);
	text_clear(room);
	if (text_error(room) || cursor.len == 0)
		return text_error(room) ? -ENOMEM : -EINVAL;
	while (span_split(&cursor, '.', &part)) {
		ptrdiff_t dash = span_find(part, '-');
		uint64_t target;

		if (dash < 0 || span_parse_u63(span_first(part, (size_t)dash), &target) != 0 ||
		    target >= targets || ret_cursors[target].data)
			return -EINVAL;
		if (cursor_unhex(room, span_from(part, (size_t)dash + 1), &ret_cursors[target]) != 0)
			return -EINVAL;
	}
	return text_error(room);
}

/* ---- lists ---- */

struct list_merge {
	struct text *to;
	const struct mcp_names *names;
	const struct list_row *row;
	const struct mcp_merge_filter *filter;
	uint32_t looked_up; /* names */
	bool is_prefixed;
	bool has_items;
};

static void merge_item(struct list_merge *merge, uint32_t target, struct span item)
{
	struct span name = mcp_json_member(item, merge->row->item_key);
	char separator = span_eq(merge->row->item_key, SPAN("name")) ? '_' : '+';
	struct mcp_rewrite rw;

	/* Skip an item without a name: a client cannot request it. */
	if (mcp_json_type(name) != MCP_JSON_STRING)
		return;
	if (merge->filter && !merge->filter->keeps(merge->filter->context, target, mcp_json_string(name)))
		return;
	if (merge->has_items)
		text_char(merge->to, ',');
	merge->has_items = true;
	if (!merge->is_prefixed) {
		text_add(merge->to, item);
		return;
	}
	rw = mcp_rewrite_of(merge->to, item);
	mcp_rewrite_prefix(&rw, name, merge->names->targets[target], separator);
	mcp_rewrite_end(&rw);
}

static int merge_answer(struct list_merge *merge, const struct mcp_answer *answer, struct text *cursor)
{
	struct span list = mcp_json_member(answer->result, merge->row->list_key);
	struct span next = mcp_json_member(answer->result, SPAN("nextCursor"));
	struct mcp_json_walk walk = mcp_json_walk_of(list);
	struct span key, value;

	if (mcp_json_type(list) != MCP_JSON_ARRAY)
		return -EBADMSG;
	while (mcp_json_next(&walk, &key, &value)) {
		/* The filter looks up each name, so limit their number; no real server has that many. */
		if (merge->filter && ++merge->looked_up > LIMIT_MCP_OWNERS)
			return -EBADMSG;
		merge_item(merge, answer->target, value);
	}
	if (mcp_json_type(next) == MCP_JSON_STRING)
		cursor_add(cursor, answer->target, mcp_json_string(next));
	return 0;
}

int mcp_merge_list(struct text *to, const struct mcp_names *names, enum mcp_method method,
		   const struct mcp_answer *answers, uint32_t count, bool is_modern,
		   const struct mcp_merge_filter *filter)
{
	const struct list_row *row = list_row(method);
	struct list_merge merge = { .to = to, .names = names, .row = row, .filter = filter };
	struct text cursor;
	int result = 0;

	CHECK(row);
	merge.is_prefixed = span_eq(row->item_key, SPAN("name")) ? mcp_names_prefix_tools(names)
								 : mcp_names_prefix_uris(names);
	text_init(&cursor);
	text_fmt(to, "{\"%.*s\":[", SPAN_FMT(row->list_key));
	for (uint32_t i = 0; i < count && result == 0; i++)
		result = merge_answer(&merge, &answers[i], &cursor);
	text_char(to, ']');
	if (cursor.len + 2 > LIMIT_MCP_NAME_BYTES)
		result = -EBADMSG;
	if (cursor.len)
		text_fmt(to, ",\"nextCursor\":\"%.*s\"", SPAN_FMT(text_span(&cursor)));
	/* Targets do not report a time to live for their lists, so the merged list is stale at once. */
	if (is_modern)
		text_str(to, ",\"resultType\":\"complete\",\"ttlMs\":0,\"cacheScope\":\"private\"");
	text_char(to, '}');
	if (text_error(&cursor))
		result = -ENOMEM;
	text_done(&cursor);
	return result;
}

/* The array without the items that are not kept. */
static int filter_items(struct list_merge *merge, uint32_t target, struct span list)
{
	struct mcp_json_walk walk = mcp_json_walk_of(list);
	struct span key, value;

	if (mcp_json_type(list) != MCP_JSON_ARRAY)
		return -EBADMSG;
	merge->has_items = false;
	text_char(merge->to, '[');
	while (mcp_json_next(&walk, &key, &value)) {
		if (++merge->looked_up > LIMIT_MCP_OWNERS)
			return -EBADMSG;
		merge_item(merge, target, value);
	}
	text_char(merge->to, ']');
	return 0;
}

int mcp_merge_filter_list(struct text *to, enum mcp_method method, uint32_t target, struct span result,
			  const struct mcp_merge_filter *filter)
{
	struct list_merge merge = { .to = to, .row = list_row(method), .filter = filter };
	struct mcp_json_walk walk = mcp_json_walk_of(result);
	struct span left = result, key, value;
	int error = 0;

	CHECK(merge.row);
	if (!walk.is_object)
		return -EBADMSG;
	/* Each list of that name: a reader may take the last one. */
	while (!error && mcp_json_next(&walk, &key, &value)) {
		if (!mcp_json_means(key, merge.row->list_key))
			continue;
		text_add(to, span_first(left, (size_t)(value.data - left.data)));
		left = span_from(left, (size_t)(value.data + value.len - left.data));
		error = filter_items(&merge, target, value);
	}
	text_add(to, left);
	return error ? error : text_error(to);
}

/* ---- capabilities ---- */

static void merge_objects(struct text *to, const struct span *objects, uint32_t count, int depth);

/* Writes the member `key` of `objects`: the first value, true before false; objects are merged. */
static void merge_member(struct text *to, struct span key, const struct span *objects, uint32_t count,
			 int depth)
{
	struct span values[LIMIT_MCP_TARGETS];
	struct span chosen = { NULL, 0 };
	uint32_t found = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct span value = mcp_json_member(objects[i], key);

		if (value.len == 0)
			continue;
		values[found++] = value;
		if (chosen.len == 0 ||
		    (mcp_json_type(value) == MCP_JSON_TRUE && mcp_json_type(chosen) == MCP_JSON_FALSE))
			chosen = value;
	}
	text_fmt(to, "\"%.*s\":", SPAN_FMT(key));
	if (mcp_json_type(chosen) == MCP_JSON_OBJECT && depth < MERGE_DEPTH)
		merge_objects(to, values, found, depth + 1);
	else
		text_add(to, chosen);
}

static bool is_told(struct span key, const struct span *objects, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (mcp_json_member(objects[i], key).len)
			return true;
	}
	return false;
}

static void merge_objects(struct text *to, const struct span *objects, uint32_t count, int depth)
{
	bool has_members = false;

	text_char(to, '{');
	for (uint32_t i = 0; i < count; i++) {
		struct mcp_json_walk walk = mcp_json_walk_of(objects[i]);
		struct span key, value;

		for (int left = MERGE_KEYS; left && walk.is_object && mcp_json_next(&walk, &key, &value);
		     left--) {
			if (is_told(key, objects, i))
				continue;
			if (has_members)
				text_char(to, ',');
			has_members = true;
			merge_member(to, key, objects + i, count - i, depth);
		}
	}
	text_char(to, '}');
}

static void merge_capabilities(struct text *to, const struct mcp_answer *answers, uint32_t count)
{
	struct span objects[LIMIT_MCP_TARGETS];

	for (uint32_t i = 0; i < count; i++) {
		objects[i] = mcp_json_member(answers[i].result, SPAN("capabilities"));
		/* Each name of one object is searched in all others, so limit their size. */
		if (objects[i].len > LIMIT_MCP_CAPABILITIES_BYTES)
			objects[i] = (struct span){ NULL, 0 };
	}
	text_str(to, "\"capabilities\":");
	merge_objects(to, objects, count, 1);
}

/* Joins the instructions of the targets, each after the name of its target. */
static void merge_instructions(struct text *to, const struct mcp_names *names,
			       const struct mcp_answer *answers, uint32_t count)
{
	bool is_first = true;

	for (uint32_t i = 0; i < count; i++) {
		struct span told = mcp_json_string(mcp_json_member(answers[i].result, SPAN("instructions")));

		if (told.len == 0)
			continue;
		text_str(to, is_first ? ",\"instructions\":\"" : "\\n\\n");
		text_fmt(to, "[%.*s]\\n", SPAN_FMT(names->targets[answers[i].target]));
		text_add(to, told);
		is_first = false;
	}
	if (!is_first)
		text_char(to, '"');
}

static void add_server(struct text *to, struct span name, struct span version)
{
	text_str(to, "{\"name\":");
	json_quote(to, name);
	text_str(to, ",\"version\":");
	json_quote(to, version);
	text_char(to, '}');
}

int mcp_merge_initialize(struct text *to, const struct mcp_names *names, const struct mcp_answer *answers,
			 uint32_t count, struct span server_name, struct span server_version)
{
	struct span lowest = { NULL, 0 };

	for (uint32_t i = 0; i < count; i++) {
		struct span version =
			mcp_json_string(mcp_json_member(answers[i].result, SPAN("protocolVersion")));

		if (version.len == 0 || mcp_json_type(answers[i].result) != MCP_JSON_OBJECT)
			return -EBADMSG;
		/* Versions are dates, so unknown ones compare correctly, too. */
		if (lowest.len == 0 || span_compare(version, lowest) < 0)
			lowest = version;
	}
	text_fmt(to, "{\"protocolVersion\":\"%.*s\",", SPAN_FMT(lowest));
	merge_capabilities(to, answers, count);
	text_str(to, ",\"serverInfo\":");
	add_server(to, server_name, server_version);
	merge_instructions(to, names, answers, count);
	text_char(to, '}');
	return 0;
}

static bool supports(struct span result, struct span version)
{
	struct mcp_json_walk walk = mcp_json_walk_of(mcp_json_member(result, SPAN("supportedVersions")));
	struct span key, value;

	while (!walk.is_object && mcp_json_next(&walk, &key, &value)) {
		if (span_eq(mcp_json_string(value), version))
			return true;
	}
	return false;
}

static bool all_support(const struct mcp_answer *answers, uint32_t count, struct span version)
{
	for (uint32_t i = 0; i < count; i++) {
		if (!supports(answers[i].result, version))
			return false;
	}
	return true;
}

int mcp_merge_discover(struct text *to, const struct mcp_names *names, const struct mcp_answer *answers,
		       uint32_t count, struct span server_name, struct span server_version)
{
	const char *comma = "";

	for (uint32_t i = 0; i < count; i++) {
		if (mcp_json_type(mcp_json_member(answers[i].result, SPAN("supportedVersions"))) !=
		    MCP_JSON_ARRAY)
			return -EBADMSG;
	}
	text_str(to, "{\"resultType\":\"complete\",\"supportedVersions\":[");
	for (enum mcp_version v = MCP_VERSION_NONE + 1; v < MCP_VERSION_COUNT; v++) {
		if (!all_support(answers, count, mcp_version_text(v)))
			continue;
		text_fmt(to, "%s\"%.*s\"", comma, SPAN_FMT(mcp_version_text(v)));
		comma = ",";
	}
	text_str(to, "],");
	merge_capabilities(to, answers, count);
	text_str(to, ",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":");
	add_server(to, server_name, server_version);
	text_char(to, '}');
	merge_instructions(to, names, answers, count);
	text_str(to, ",\"ttlMs\":0,\"cacheScope\":\"private\"}");
	return 0;
}

void mcp_merge_version_data(struct text *to, struct span requested)
{
	text_str(to, "{\"supported\":[");
	for (enum mcp_version v = MCP_VERSION_COUNT - 1; v > MCP_VERSION_NONE; v--)
		text_fmt(to, "%s\"%.*s\"", v == MCP_VERSION_COUNT - 1 ? "" : ",",
			 SPAN_FMT(mcp_version_text(v)));
	text_str(to, "],\"requested\":");
	json_quote(to, requested);
	text_char(to, '}');
}

/* ---- subscriptions ---- */

/* A URI of the client's subscriptions without its prefix; false if it is not a URI of `target`. */
static bool own_uri(const struct mcp_names *names, struct span value, uint32_t target, struct span *ret_own)
{
	uint32_t found;

	return mcp_json_type(value) == MCP_JSON_STRING &&
	       mcp_names_find(names, mcp_json_string(value), '+', &found, ret_own) == 0 && found == target;
}

static void listen_uris(struct text *to, const struct mcp_names *names, struct span uris, uint32_t target)
{
	struct mcp_json_walk walk = mcp_json_walk_of(uris);
	const char *comma = "";
	struct span key, value, own;

	text_char(to, '[');
	while (!walk.is_object && mcp_json_next(&walk, &key, &value)) {
		if (!own_uri(names, value, target, &own))
			continue;
		text_fmt(to, "%s\"", comma);
		text_add(to, own);
		text_char(to, '"');
		comma = ",";
	}
	text_char(to, ']');
}

static void listen_filter(struct text *to, const struct mcp_names *names, struct span filter, uint32_t target)
{
	struct mcp_json_walk walk = mcp_json_walk_of(filter);
	const char *comma = "";
	struct span key, value;

	text_char(to, '{');
	while (walk.is_object && mcp_json_next(&walk, &key, &value)) {
		text_str(to, comma);
		text_char(to, '"');
		text_add(to, key);
		text_str(to, "\":");
		if (mcp_json_means(key, MCP_MERGE_URIS) || mcp_json_means(key, MCP_MERGE_TASKS))
			listen_uris(to, names, value, target);
		else
			text_add(to, value);
		comma = ",";
	}
	text_char(to, '}');
}

void mcp_merge_listen(struct text *to, const struct mcp_names *names, struct span params, uint32_t target)
{
	struct span filter = mcp_json_member(params, SPAN("notifications"));

	if (mcp_json_type(filter) != MCP_JSON_OBJECT) {
		text_add(to, params);
		return;
	}
	text_add(to, span_of(params.data, (size_t)(filter.data - params.data)));
	listen_filter(to, names, filter, target);
	text_add(to, span_from(params, (size_t)(filter.data + filter.len - params.data)));
}

static void acknowledged_uris(struct text *to, const struct mcp_names *names,
			      const struct mcp_answer *answers, const struct span *filters, uint32_t count)
{
	const char *comma = ",\"resourceSubscriptions\":[";

	for (uint32_t i = 0; i < count; i++) {
		struct mcp_json_walk walk = mcp_json_walk_of(mcp_json_member(filters[i], MCP_MERGE_URIS));
		struct span key, value;

		while (!walk.is_object && mcp_json_next(&walk, &key, &value)) {
			if (mcp_json_type(value) != MCP_JSON_STRING)
				continue;
			text_fmt(to, "%s\"%.*s+", comma, SPAN_FMT(names->targets[answers[i].target]));
			text_add(to, span_from(value, 1));
			comma = ",";
		}
	}
	if (comma[1] == '\0')
		text_char(to, ']');
}

void mcp_merge_acknowledged(struct text *to, const struct mcp_names *names, const struct mcp_answer *answers,
			    uint32_t count, struct span id)
{
	static const struct span flags[] = {
		SPAN("toolsListChanged"),
		SPAN("promptsListChanged"),
		SPAN("resourcesListChanged"),
	};
	struct span filters[LIMIT_MCP_TARGETS];
	struct text rest;

	text_str(to, "{\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":");
	text_add(to, id);
	text_str(to, "},\"notifications\":{");
	text_init(&rest);
	for (uint32_t i = 0; i < count; i++)
		filters[i] = mcp_json_member(answers[i].result, SPAN("notifications"));
	for (size_t f = 0; f < ARRAY_LEN(flags); f++) {
		for (uint32_t i = 0; i < count; i++) {
			if (mcp_json_type(mcp_json_member(filters[i], flags[f])) != MCP_JSON_TRUE)
				continue;
			text_fmt(&rest, ",\"%.*s\":true", SPAN_FMT(flags[f]));
			break;
		}
	}
	acknowledged_uris(&rest, names, answers, filters, count);
	text_add(to, span_from(text_span(&rest), 1));
	text_str(to, "}}");
	if (text_error(&rest))
		to->failed = true;
	text_done(&rest);
}
