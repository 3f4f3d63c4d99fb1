/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transformations: values that strangers chose, separated by lines `%%`, become a path, an authority, a
 * method, a header and a status. What has to hold:
 *   - the request can be written, and reads the same again: no value ends a field, a line or the head, and no
 *     field is there that the policy does not name;
 *   - the same holds for a header whose name is theirs, too;
 *   - the path begins with a slash, and normalizing it again changes nothing; the authority is valid;
 *   - the framing of the response is that of its status before.
 */
#include <stdio.h>
#include <stdlib.h>

#include "policy/transform.h"
#include "user/base/limits.h"
#include "user/http/h1_parse.h"
#include "user/http/h1_write.h"
#include "user/http/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) must((condition), __LINE__, #condition)

static void must(bool condition, int line, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "line %d: broken: %s\n", line, what);
	abort();
}

enum { FUZZ_BYTES = 4096, TARGETS = 5 };

/* What each value is for; the header that has it is named by its number. */
static const struct header_pair targets[TARGETS] = {
	{ SPAN(":path"), SPAN("request.headers.v0") },	 { SPAN(":authority"), SPAN("request.headers.v1") },
	{ SPAN(":method"), SPAN("request.headers.v2") }, { SPAN("x-set"), SPAN("request.headers.v3") },
	{ SPAN(":status"), SPAN("request.headers.v4") },
};
static const char *const names[TARGETS] = { "v0", "v1", "v2", "v3", "v4" };

struct world {
	struct arena arena;
	struct request_head head;
	struct expression_scratch scratch;
	struct expression_facts facts;
	struct expression expressions[TARGETS];
	const struct expression *list[TARGETS];
};

static struct span take_part(struct span *rest)
{
	const char *end = rest->len ? memmem(rest->data, rest->len, "\n%%\n", 4) : NULL;
	struct span part = end ? span_first(*rest, (size_t)(end - rest->data)) : *rest;

	*rest = end ? span_from(*rest, part.len + 4) : span_from(*rest, rest->len);
	return part;
}

static void world_make(struct world *world, struct span input)
{
	char error[EXPRESSION_ERROR_BYTES];

	arena_init(&world->arena, 4096);
	world->head = (struct request_head){ .method = METHOD_GET,
					     .method_text = SPAN("GET"),
					     .target = SPAN("/a"),
					     .path = SPAN("/a"),
					     .authority = SPAN("a"),
					     .version_major = 1,
					     .version_minor = 1 };
	fields_init(&world->head.fields, &world->arena);
	for (int i = 0; i < TARGETS; i++) {
		MUST(fields_add(&world->head.fields, span_str(names[i]), take_part(&input)) == 0);
		MUST(expression_compile(targets[i].value, EXPRESSION_AT_HEAD, &world->arena,
					&world->expressions[i], error) == 0);
		world->list[i] = &world->expressions[i];
	}
	world->facts = (struct expression_facts){ .request = &world->head, .scratch = &world->scratch };
}

static void look_at_request(struct world *world)
{
	static const struct path_rules rules = { 0 };
	struct request_head *head = &world->head, again;
	struct body_framing framing = { .kind = BODY_NONE }, framing_again;
	struct span normal;
	struct buf out;

	MUST(head->path.len && head->path.data[0] == '/' && authority_is_valid(head->authority));
	MUST(path_normalise(head->path, &rules, &world->arena, &normal) == HTTP_ERROR_NONE);
	MUST(span_eq(normal, head->path));
	buf_init(&out);
	MUST(h1_write_request(&out, head, &framing, &(struct h1_write_options){ .version_minor = 1 }) == 0);
	MUST(h1_parse_request(buf_span(&out), &world->arena, &again, &framing_again) == HTTP_ERROR_NONE);
	MUST(framing_again.kind == BODY_NONE);
	MUST(span_eq(again.method_text, head->method_text) && span_eq(again.authority, head->authority));
	MUST(span_eq(again.path, head->path) && span_eq(again.query, head->query));
	fields_remove_id(&again.fields, FIELD_HOST);
	MUST(again.fields.count == head->fields.count && again.fields.count <= 1);
	if (again.fields.count)
		MUST(span_eq(again.fields.list[0].name, SPAN("x-set")) &&
		     span_eq(again.fields.list[0].value, head->fields.list[0].value));
	buf_done(&out);
}

static void fuzz_request(struct world *world)
{
	static struct span removed[] = { SPAN("v0"), SPAN("v1"), SPAN("v2"), SPAN("v3"), SPAN("v4") };
	struct transform_side side = { .set_list = (struct header_pair *)targets,
				       .set_expressions = world->list,
				       .set_count = 4,
				       .remove_list = removed,
				       .remove_count = TARGETS };
	static const struct path_rules rules = { 0 };
	struct transform_count count = { 0 };

	MUST(transform_request(&side, &world->facts, &rules, &world->head, &world->arena, &count) == 0);
	MUST(count.changed + count.failed == 4);
	look_at_request(world);
}

static bool has_usual_framing(uint16_t status)
{
	return status >= 200 && status <= 599 && status != 204 && status != 205 && status != 304;
}

static void fuzz_response(struct world *world)
{
	static const uint16_t statuses[] = { 101, 200, 204, 304, 404 };
	struct transform_side side = { .set_list = (struct header_pair *)&targets[3],
				       .set_expressions = &world->list[3],
				       .set_count = 2 };

	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		struct response_head head = { .status = statuses[i] };
		struct transform_count count = { 0 };

		fields_init(&head.fields, &world->arena);
		MUST(transform_response(&side, &world->facts, &head, &world->arena, &count) == 0);
		MUST(head.status == statuses[i] ||
		     (has_usual_framing(statuses[i]) && has_usual_framing(head.status)));
		for (uint32_t k = 0; k < head.fields.count; k++)
			MUST(span_find(head.fields.list[k].value, '\n') < 0 &&
			     span_find(head.fields.list[k].value, '\r') < 0);
	}
}

/* A stranger may also choose the name of a member: what comes out is read again as it was written. */
static void fuzz_replace(struct world *world)
{
	static const struct field kept = { SPAN("Host"), SPAN("a"), FIELD_HOST };
	const struct fields before = world->head.fields;
	struct expression_member member = { before.list[3].value,
					    { .type = EXPRESSION_TEXT, .text = before.list[4].value } };
	const struct expression_value map = { .type = EXPRESSION_MAP, .count = 1, .members = &member };
	struct body_framing framing = { .kind = BODY_NONE }, framing_again;
	struct transform_count count = { 0 };
	char error[EXPRESSION_ERROR_BYTES];
	struct expression expression;
	struct transform_side side = { .replace = &expression };
	struct request_head again;
	struct buf out;

	MUST(fields_put(&world->head.fields, &kept) == 0);
	world->facts.metadata = &map;
	MUST(expression_compile(SPAN("metadata"), EXPRESSION_AT_REQUEST, &world->arena, &expression, error) ==
	     0);
	MUST(transform_request(&side, &world->facts, NULL, &world->head, &world->arena, &count) == 0);
	MUST(world->head.fields.count == 1 + count.changed && count.changed + count.failed == 1);
	MUST(world->head.fields.list[0].id == FIELD_HOST);
	buf_init(&out);
	MUST(h1_write_request(&out, &world->head, &framing,
			      &(struct h1_write_options){ .version_minor = 1 }) == 0);
	MUST(h1_parse_request(buf_span(&out), &world->arena, &again, &framing_again) == HTTP_ERROR_NONE);
	MUST(framing_again.kind == BODY_NONE && again.fields.count == world->head.fields.count);
	buf_done(&out);
	world->head.fields = before;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world *world;

	if (size > FUZZ_BYTES)
		return 0;
	world = malloc(sizeof(*world));
	MUST(world);
	world_make(world, span_of(data, size));
	fuzz_response(world);
	fuzz_replace(world);
	fuzz_request(world);
	arena_done(&world->arena);
	free(world);
	return 0;
}
