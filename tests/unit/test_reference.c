/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of config/README.md, and the keys of the manual page, are printed from the rows that decode;
 * those of docs/expressions.md from the names of expressions.
 * With WRITE_REFERENCE in the environment it writes them anew, from the root of the tree.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/test.h"
#include "config/core/values/guard_value.h"
#include "config/core/engine/schema_words.h"
#include "config/core/values/policy_value.h"
#include "config/core/values/tls_value.h"
#include "config/standalone/attach.h"
#include "config/standalone/endpoint.h"
#include "config/standalone/listener.h"
#include "config/standalone/mcp.h"
#include "config/standalone/policy.h"
#include "config/standalone/route.h"
#include "config/standalone/route_group.h"
#include "config/standalone/service.h"
#include "config/standalone/static.h"
#include "config/standalone/target.h"
#include "policy/expression/expression_table.h"

/* One table of the document: the keys of one schema, or of several under a key each. */
struct reference {
	const char *name; /* as the document says: <!-- rows: config --> */
	bool has_reload; /* of the section `config` only */
	struct reference_part {
		const char *path; /* "http."; NULL: the list is over */
		enum policy_kind kind;
		const struct schema *schema; /* NULL: that of the kind */
	} part_list[24];
};

static const struct reference references[] = {
	{ "standalone", false, { { "", .schema = &root_schema } } },
	{ "gateways", false, { { "", .schema = &gateway_schema } } },
	{ "binds", false, { { "", .schema = &bind_schema } } },
	{ "listenerTls", false, { { "", .schema = &listener_tls_schema } } },
	{ "routes", false, { { "", .schema = &route_schema } } },
	{ "tcpRoutes", false, { { "", .schema = &tcp_route_schema } } },
	{ "routeGroups", false, { { "", .schema = &route_group_schema } } },
	{ "refs", false, { { "", .schema = &ref_schema } } },
	{ "backends", false, { { "", .schema = &named_backend_schema } } },
	{ "endpoints", false, { { "", .schema = &endpoint_schema } } },
	{ "dynamic", false, { { "", .schema = &dynamic_schema } } },
	{ "services", false, { { "", .schema = &defined_service_schema } } },
	{ "workloads", false, { { "", .schema = &workload_schema } } },
	{ "policies", false, { { "", .schema = &attached_schema } } },
	{ "frontendPolicies",
	  false,
	  { { "http.", .kind = POLICY_FRONTEND_HTTP },
	    { "tcp.", .kind = POLICY_FRONTEND_TCP },
	    { "tls.", .kind = POLICY_FRONTEND_TLS },
	    { "connect.", .kind = POLICY_FRONTEND_CONNECT },
	    { "proxyProtocol.", .kind = POLICY_FRONTEND_PROXY },
	    { "networkAuthorization.", .kind = POLICY_NETWORK_AUTHORIZATION },
	    { "networkExtAuthz.", .kind = POLICY_NETWORK_EXT_AUTHZ },
	    { "accessLog.", .kind = POLICY_FRONTEND_ACCESS_LOG },
	    { "metrics.", .kind = POLICY_FRONTEND_METRICS },
	    { "tracing.", .kind = POLICY_FRONTEND_TRACING } } },
	{ "routePolicies",
	  false,
	  { { "timeout.", .kind = POLICY_TIMEOUT },
	    { "retry.", .kind = POLICY_RETRY },
	    { "delay.", .kind = POLICY_DELAY },
	    { "requestHeaderModifier.", .kind = POLICY_REQUEST_HEADERS },
	    { "requestRedirect.", .kind = POLICY_REDIRECT },
	    { "urlRewrite.", .kind = POLICY_URL_REWRITE },
	    { "requestMirror.", .schema = &mirror_schema },
	    { "directResponse.", .kind = POLICY_DIRECT_RESPONSE },
	    { "sessionPersistence.", .kind = POLICY_SESSION_PERSISTENCE },
	    { "cors.", .kind = POLICY_CORS },
	    { "jwtAuth.", .kind = POLICY_JWT_AUTH },
	    { "mcpAuthentication.", .kind = POLICY_MCP_AUTHENTICATION },
	    { "basicAuth.", .kind = POLICY_BASIC_AUTH },
	    { "apiKey.", .kind = POLICY_API_KEY },
	    { "extAuthz.", .kind = POLICY_EXT_AUTHZ },
	    { "authorization.", .kind = POLICY_AUTHORIZATION },
	    { "mcpAuthorization.", .kind = POLICY_MCP_AUTHORIZATION },
	    { "csrf.", .kind = POLICY_CSRF },
	    { "limits.", .kind = POLICY_LIMITS },
	    { "buffer.", .kind = POLICY_BUFFER },
	    { "localRateLimit[].", .schema = &rate_rule_schema },
	    { "remoteRateLimit.", .kind = POLICY_REMOTE_RATE_LIMIT },
	    { "transformations.", .kind = POLICY_TRANSFORMATION } } },
	{ "backendPolicies",
	  false,
	  { { "http.", .kind = POLICY_BACKEND_HTTP },
	    { "tcp.", .kind = POLICY_BACKEND_TCP },
	    { "backendTLS.", .kind = POLICY_BACKEND_TLS },
	    { "health.", .kind = POLICY_BACKEND_HEALTH },
	    { "circuitBreaker.", .kind = POLICY_CIRCUIT_BREAKER },
	    { "proxyProtocol.", .kind = POLICY_BACKEND_PROXY },
	    { "backendAuth.", .kind = POLICY_BACKEND_AUTH },
	    { "loadBalancer.", .kind = POLICY_LOAD_BALANCER },
	    { "sessionAffinity.", .kind = POLICY_SESSION_AFFINITY },
	    { "authorization.", .kind = POLICY_BACKEND_AUTHORIZATION } } },
	{ "mcp", false, { { "", .schema = &mcp_schema } } },
	{ "config", true, { { "", .schema = &static_schema } } },
};

static const struct schema *schema_of(const struct reference_part *part)
{
	return part->schema ? part->schema : policy_schema(part->kind);
}

/* ---- rows */

static bool is_shown(const struct schema_row *row)
{
	return row->type != SCHEMA_NOTHING && row->style != STYLE_MANIFEST && !row->is_hidden;
}

/* A part of this table: a map, or what is in a list, unless that has a table of its own. */
static bool is_part(const struct schema_row *row)
{
	if (!row->child || (row->type == SCHEMA_MAP && row->doc))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(references); i++)
		if (references[i].part_list[0].schema == row->child)
			return false;
	return true;
}

static void print_schema(const struct reference *reference, const struct schema *schema, const char *path,
			 struct text *out);

static void print_rows(const struct reference *reference, const struct schema *schema, const char *path,
		       const void *object, struct text *out);

static void print_part(const struct reference *reference, const struct schema_row *row, const char *path,
		       const void *object, struct text *out)
{
	char child[96];

	snprintf(child, sizeof(child), "%s%s%s.", path, row->key, row->doc ? "[]" : "");
	if (row->type == SCHEMA_MAP)
		print_rows(reference, row->child, child, schema_member(row, object), out);
	else
		print_schema(reference, row->child, child, out);
}

static void print_rows(const struct reference *reference, const struct schema *schema, const char *path,
		       const void *object, struct text *out)
{
	for (size_t i = 0; i < schema->row_count; i++) {
		const struct schema_row *row = &schema->rows[i];

		if (!is_shown(row))
			continue;
		if (is_part(row) && !row->doc) {
			print_part(reference, row, path, object, out);
			continue;
		}
		text_fmt(out, "| `%s%s` | ", path, row->key);
		schema_value_words(row, out);
		text_str(out, " | ");
		schema_default_words(row, object, out);
		if (reference->has_reload)
			text_fmt(out, " | %s", schema_reload_words(row));
		text_fmt(out, " | %s |\n", row->doc ? row->doc : "");
		if (is_part(row))
			print_part(reference, row, path, object, out);
	}
}

static void print_schema(const struct reference *reference, const struct schema *schema, const char *path,
			 struct text *out)
{
	void *object = calloc(1, schema->size_bytes);

	assert_non_null(object);
	schema_default(schema, object);
	print_rows(reference, schema, path, object, out);
	free(object);
}

static void print_reference(const struct reference *reference, struct text *out)
{
	text_str(out, reference->has_reload
			      ? "| key | value | default | a change | |\n|---|---|---|---|---|\n"
			      : "| key | value | default | |\n|---|---|---|---|\n");
	for (const struct reference_part *part = reference->part_list; part->path; part++)
		print_schema(reference, schema_of(part), part->path, out);
}

/* ---- the manual page: a table of the document, in the words of man(7) */

/* One character of UTF-8 that is none of ASCII; returns its bytes. */
static size_t print_wide(const char *at, struct text *out)
{
	unsigned char first = (unsigned char)*at;
	size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
	uint32_t code = first & (0xffu >> (bytes + 1));

	for (size_t i = 1; i < bytes; i++)
		code = code << 6 | ((unsigned char)at[i] & 0x3f);
	text_fmt(out, "\\[u%04X]", code);
	return bytes;
}

/* `code` is bold, and of [words](link) the words stay. */
static void print_manual_text(struct span s, struct text *out)
{
	bool is_code = false;

	for (size_t i = 0; i < s.len;) {
		struct span rest = span_from(s, i);
		char c = s.data[i];

		if ((unsigned char)c >= 0x80) {
			i += print_wide(rest.data, out);
			continue;
		}
		i++;
		if (c == '`')
			text_str(out, (is_code = !is_code) ? "\\fB" : "\\fR");
		else if (!is_code && span_starts(rest, SPAN("](")))
			i += (size_t)span_find(rest, ')');
		else if (c == '\\' && i < s.len && s.data[i] == '|')
			;
		else if (c == '\\')
			text_str(out, "\\e");
		else if (c == '-')
			text_str(out, is_code ? "\\-" : "-");
		else if (is_code || c != '[')
			text_char(out, c);
	}
}

/* "| `key` | values | default | a change | words |", the fourth where the table has one. */
static void print_manual_row(const struct reference *reference, struct span line, struct text *out)
{
	struct span cells[5] = { 0 };
	size_t count = reference->has_reload ? 5 : 4;
	struct text text;

	line = span_from(line, 2);
	for (size_t i = 0; i < count; i++) {
		const char *bar = memmem(line.data, line.len, " |", 2);

		/* One that is no border of a cell is written with a backslash. */
		assert_non_null(bar);
		cells[i] = span_first(line, (size_t)(bar - line.data));
		line = span_from(line, cells[i].len + (i + 1 < count ? 3 : 2));
	}
	text_init(&text);
	text_str(&text, ".TP\n");
	print_manual_text(cells[0], &text);
	text_str(&text, "\n\\&(");
	print_manual_text(cells[1], &text);
	if (!span_eq(cells[2], SPAN("–"))) {
		text_str(&text, span_eq(cells[2], SPAN("required")) ? "; " : "; default ");
		print_manual_text(cells[2], &text);
	}
	if (reference->has_reload) {
		text_str(&text, "; ");
		print_manual_text(cells[3], &text);
	}
	text_str(&text, ")\n\\&");
	print_manual_text(cells[count - 1], &text);
	text_fmt(out, "%.*s\n", SPAN_FMT(text_span(&text)));
	text_done(&text);
}

static void print_manual(const struct reference *reference, struct text *out)
{
	struct text table;
	struct span rows, line;

	text_init(&table);
	print_reference(reference, &table);
	rows = text_span(&table);
	for (int i = 0; rows.len && span_split(&rows, '\n', &line); i++)
		if (i >= 2 && line.len)
			print_manual_row(reference, line, out);
	text_done(&table);
}

/* ---- expressions */

static const struct reference expression_references[] = { { .name = "variables" }, { .name = "functions" } };

/* Of a list also that of its items. */
static const char *type_words(enum expression_type type, enum expression_type item)
{
	if (type == EXPRESSION_LIST && item == EXPRESSION_TEXT)
		return "a list of texts";
	return type == EXPRESSION_DYNAMIC ? "any" : expression_type_name(type);
}

/* A border of a cell is written with a backslash. */
static void print_cell(const char *words, struct text *out)
{
	for (; *words; words++)
		text_fmt(out, "%s%c", *words == '|' ? "\\" : "", *words);
}

static void print_points(const struct expression_variable *variable, struct text *out)
{
	for (uint32_t point = 0; point < EXPRESSION_POINTS; point++)
		text_fmt(out, " %s |", variable->points >> point & 1 ? "x" : "");
}

static void print_variables(struct text *out)
{
	text_str(out, "| name | type | value | C | H | R | T | B | M | A | TA | L |\n"
		      "|---|---|---|---|---|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < EXPRESSION_VARIABLES; i++) {
		const struct expression_variable *variable = &expression_variables[i];

		text_fmt(out, "| `%s` | %s | ", variable->name, type_words(variable->type, variable->item));
		print_cell(variable->words, out);
		text_str(out, " |");
		print_points(variable, out);
		text_char(out, '\n');
	}
}

static void print_functions(struct text *out)
{
	text_str(out, "| function | of | gives | which is | example |\n|---|---|---|---|---|\n");
	for (size_t i = 0; i < EXPRESSION_FUNCTIONS; i++) {
		const struct expression_function *function = &expression_functions[i];
		bool is_method = function->receiver != 0;

		text_fmt(out, "| `%s%s()` | %s | %s | ", is_method ? "." : "", function->name,
			 is_method ? expression_set_name(function->receiver) : "",
			 type_words(function->type, function->item));
		print_cell(function->words, out);
		text_str(out, " | `");
		print_cell(function->example, out);
		text_str(out, "` |\n");
	}
}

static void print_expressions(const struct reference *reference, struct text *out)
{
	if (reference == &expression_references[0])
		print_variables(out);
	else
		print_functions(out);
}

/* Each example compiles where its names exist. */
TEST(the_examples_of_functions_compile)
{
	for (size_t i = 0; i < EXPRESSION_FUNCTIONS; i++) {
		char error[EXPRESSION_ERROR_BYTES];
		struct expression expression;
		struct arena arena;

		arena_init(&arena, 4096);
		bool reads_body = strstr(expression_functions[i].example, "request.body");

		if (expression_compile(span_str(expression_functions[i].example),
				       reads_body ? EXPRESSION_AT_TRANSFORM : EXPRESSION_AT_END, &arena,
				       &expression, error) != 0)
			fail_msg("%s: %s", expression_functions[i].example, error);
		arena_done(&arena);
	}
}

/* ---- documents */

/* A file with the rows of each reference between two lines of its own. */
static const struct document {
	const char *path;
	const char *begin; /* and the name, and begin_rest */
	const char *begin_rest;
	const char *end;
	void (*print)(const struct reference *reference, struct text *out);
	const struct reference *references;
	size_t reference_count;
} documents[] = {
	{ "config/README.md", "<!-- rows: ", " -->", "<!-- end of rows -->", print_reference, references,
	  ARRAY_LEN(references) },
	{ "scripts/packaging/headgate.5", ".\\\" rows: ", "", ".\\\" end of rows", print_manual, references,
	  ARRAY_LEN(references) },
	{ "docs/expressions.md", "<!-- rows: ", " -->", "<!-- end of rows -->", print_expressions,
	  expression_references, ARRAY_LEN(expression_references) },
};

static struct span read_document(const struct document *document, struct text *out)
{
	FILE *file = fopen(document->path, "r");
	char segment[4096];
	size_t len;

	assert_non_null(file);
	while ((len = fread(segment, 1, sizeof(segment), file)) > 0)
		text_add(out, span_of(segment, len));
	fclose(file);
	assert_int_equal(text_error(out), 0);
	return text_span(out);
}

static const struct reference *find_reference(const struct document *document, struct span line)
{
	for (size_t i = 0; i < document->reference_count; i++) {
		char begin[64];

		snprintf(begin, sizeof(begin), "%s%s%s", document->begin, document->references[i].name,
			 document->begin_rest);
		if (span_eq(line, span_str(begin)))
			return &document->references[i];
	}
	return NULL;
}

/* The document with all its rows printed anew; each reference stands in it once. */
static void print_document(const struct document *document, struct span have, struct text *out)
{
	const struct reference *reference = NULL;
	size_t count = 0;
	struct span line;

	while (have.len && span_split(&have, '\n', &line)) {
		if (span_eq(line, span_str(document->end)))
			reference = NULL;
		if (reference)
			continue;
		text_fmt(out, "%.*s\n", SPAN_FMT(line));
		reference = find_reference(document, line);
		if (!reference)
			continue;
		document->print(reference, out);
		count++;
	}
	assert_null(reference);
	assert_int_equal(count, document->reference_count);
	assert_int_equal(text_error(out), 0);
}

static void write_document(const struct document *document)
{
	struct text have, want;
	FILE *file;

	text_init(&have);
	text_init(&want);
	print_document(document, read_document(document, &have), &want);
	file = fopen(document->path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(want.data, 1, want.len, file), want.len);
	assert_int_equal(fclose(file), 0);
	text_done(&have);
	text_done(&want);
}

TEST(the_references_are_those_of_the_rows)
{
	for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
		const struct document *document = &documents[i];
		struct text have, want;

		if (getenv("WRITE_REFERENCE"))
			write_document(document);
		text_init(&have);
		text_init(&want);
		print_document(document, read_document(document, &have), &want);
		if (!span_eq(text_span(&have), text_span(&want)))
			fail_msg("a part of %s is not that of the rows: WRITE_REFERENCE=1 %s", document->path,
				 "build/release/unit/test_reference");
		text_done(&have);
		text_done(&want);
	}
}

static void every_key_has_a_line_for_the_reader(const struct schema *schema)
{
	for (size_t i = 0; i < schema->row_count; i++) {
		const struct schema_row *row = &schema->rows[i];

		if (is_part(row))
			every_key_has_a_line_for_the_reader(row->child);
		else if (is_shown(row) && !row->doc)
			fail_msg("the key %s has no line for the reader", row->key);
	}
}

TEST(no_key_is_without_words)
{
	for (size_t i = 0; i < ARRAY_LEN(references); i++)
		for (const struct reference_part *part = references[i].part_list; part->path; part++)
			every_key_has_a_line_for_the_reader(schema_of(part));
}
