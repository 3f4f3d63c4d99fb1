/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expressions: the first byte chooses the point; the rest is an expression, a line `%%`, claims as JSON, a
 * line `%%`, and fields of a request. What has to hold:
 *   - what is refused has a printable message, and what compiles does so twice with the same type;
 *   - two evaluations give the same text or the same lack of one, allocate nothing, and stay in the scratch
 *     memory; a value has the type that was announced;
 *   - with less memory a condition is what it was, or gives up: a limit decides nothing;
 *   - a condition with `|| true` behind it is true and with `&& false` false, unless it gave up, and its
 *     negation is its opposite, or has no value either.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/expression/expression.h"
#include "policy/expression/expression_json.h"
#include "user/base/mem.h"
#include "user/mcp/json/json_text.h"
#include "user/net/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) must((condition), __LINE__, #condition)

static void must(bool condition, int line, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "line %d: broken: %s\n", line, what);
	abort();
}

enum { FUZZ_BYTES = 16 * 1024 };

/* ---- the world */

struct world {
	struct arena arena;
	struct request_head request;
	struct fields response;
	struct address address, peer;
	struct expression_source source;
	struct expression_mcp mcp;
	struct expression_value claims;
	struct expression_scratch scratch;
	struct expression_facts facts;
};

static struct mcp_json_checker *checker;

static struct span take_part(struct span *rest)
{
	const char *end = rest->len ? memmem(rest->data, rest->len, "\n%%\n", 4) : NULL;
	struct span part = end ? span_first(*rest, (size_t)(end - rest->data)) : *rest;

	*rest = end ? span_from(*rest, part.len + 4) : span_from(*rest, rest->len);
	return part;
}

static void add_fields(struct fields *fields, struct arena *arena, struct span lines)
{
	struct span line;

	fields_init(fields, arena);
	while (lines.len && span_split(&lines, '\n', &line)) {
		ptrdiff_t colon = span_find(line, ':');

		if (colon > 0)
			MUST(fields_add(fields, span_first(line, (size_t)colon),
					span_trim(span_from(line, (size_t)colon + 1))) == 0);
	}
}

static void world_make(struct world *world, struct span claims, struct span lines)
{
	int result;

	arena_init(&world->arena, 4096);
	world->request = (struct request_head){
		.method_text = SPAN("GET"),
		.target = SPAN("/a/b?x=1&y=%41"),
		.path = SPAN("/a/b"),
		.query = SPAN("x=1&y=%41"),
		.has_query = true,
		.authority = SPAN("Shop.example:80"),
		.version_major = 1,
		.version_minor = 1,
	};
	add_fields(&world->request.fields, &world->arena, lines);
	add_fields(&world->response, &world->arena, lines);
	MUST(address_parse(SPAN("[::ffff:10.1.2.3]:4567"), &world->address) == 0);
	MUST(address_parse(SPAN("[2001:db8::4]:80"), &world->peer) == 0);
	world->source = (struct expression_source){ .address = &world->address,
						    .raw_address = &world->peer,
						    .subject_cn = SPAN("front"),
						    .spiffe_id = SPAN("spiffe://td/ns/web/sa/front") };
	world->mcp = (struct expression_mcp){ .method = SPAN("tools/call"), .tool = SPAN("read") };
	result = claims.len ? expression_json(claims, checker, &world->arena, &world->claims) : -EBADMSG;
	world->facts = (struct expression_facts){
		.request = &world->request,
		.response_fields = &world->response,
		.response_code = 503,
		.random = 7,
		.scratch = &world->scratch,
		.start_ns = 1700000000000000000u,
		.end_ns = 1700000001500000000u,
		.source = &world->source,
		.sni = SPAN("shop.example"),
		.jwt = result == 0 ? &world->claims : NULL,
		.mcp = &world->mcp,
	};
}

/* ---- what holds */

static void look_at_error(const char *error)
{
	MUST(error[0] && strlen(error) < EXPRESSION_ERROR_BYTES);
	MUST(strncmp(error, "at character ", strlen("at character ")) == 0);
}

static bool has_type(struct expression_value value, enum expression_type type)
{
	return value.type == EXPRESSION_NONE || type == EXPRESSION_DYNAMIC || value.type == type ||
	       (type == EXPRESSION_DOUBLE && value.type == EXPRESSION_INT);
}

/* 0 and a copy of the text, or why there is none. */
static int text_of(const struct expression *expression, struct world *world, char **ret_copy, size_t *ret_len)
{
	struct span text = { NULL, 0 };
	int result;

	expression_scratch_init(&world->scratch);
	mem_fail_nth(0);
	result = expression_text(expression, &world->facts, &text);
	MUST(mem_count() == 0);
	MUST(world->scratch.used <= sizeof(world->scratch.own));
	*ret_copy = malloc(text.len + 1);
	MUST(*ret_copy);
	if (text.len)
		memcpy(*ret_copy, text.data, text.len);
	*ret_len = text.len;
	return result;
}

static void look_twice(const struct expression *expression, struct world *world)
{
	char *first, *second;
	size_t first_len, second_len;
	int result = text_of(expression, world, &first, &first_len);

	MUST(result == 0 || result == -ENODATA || result == -E2BIG);
	MUST(text_of(expression, world, &second, &second_len) == result);
	MUST(first_len == second_len && memcmp(first, second, first_len) == 0);
	free(first);
	free(second);
}

static enum expression_truth truth_around(struct world *world, enum expression_point point,
					  const char *before, struct span text, const char *after)
{
	static char memory[FUZZ_BYTES + 64];
	size_t len = (size_t)snprintf(memory, sizeof(memory), "%s(%.*s)%s", before, SPAN_FMT(text), after);
	char error[EXPRESSION_ERROR_BYTES];
	struct expression expression;

	/* It may be too deep or too long with the rest. */
	if (expression_compile(span_of(memory, len), point, &world->arena, &expression, error) != 0)
		return EXPRESSION_GAVE_UP;
	expression_scratch_init(&world->scratch);
	return expression_test(&expression, &world->facts);
}

static void look_with_less(const struct expression *expression, struct world *world,
			   enum expression_truth truth)
{
	for (size_t left = 1; left < sizeof(world->scratch.own); left *= 4) {
		size_t used = sizeof(world->scratch.own) - left;
		enum expression_truth less;

		world->scratch.used = used;
		less = expression_test(expression, &world->facts);
		MUST(world->scratch.used == used);
		MUST(less == truth || less == EXPRESSION_GAVE_UP);
	}
}

static void look_at_condition(const struct expression *expression, struct world *world,
			      enum expression_point point, struct span text)
{
	enum expression_truth truth, or_true, and_false, negated;
	struct expression_value value;

	expression_scratch_init(&world->scratch);
	value = expression_evaluate(expression, &world->facts);
	truth = expression_test(expression, &world->facts);
	MUST((truth == EXPRESSION_GAVE_UP) == (value.type == EXPRESSION_NONE && value.gave_up));
	look_with_less(expression, world, truth);
	or_true = truth_around(world, point, "", text, " || true");
	and_false = truth_around(world, point, "", text, " && false");
	negated = truth_around(world, point, "!", text, "");
	MUST(or_true != EXPRESSION_IS_FALSE);
	MUST(and_false != EXPRESSION_IS_TRUE);
	MUST(!(truth == EXPRESSION_IS_TRUE && negated == EXPRESSION_IS_TRUE));
	if (value.type == EXPRESSION_BOOL && !value.is_true)
		MUST(negated != EXPRESSION_IS_FALSE);
	if (value.type == EXPRESSION_NONE && !value.gave_up)
		MUST(negated != EXPRESSION_IS_TRUE);
}

static void run(struct span text, enum expression_point point, struct world *world)
{
	char error[EXPRESSION_ERROR_BYTES] = "", again_error[EXPRESSION_ERROR_BYTES] = "";
	struct expression expression, again;
	int result = expression_compile(text, point, &world->arena, &expression, error);

	MUST(result == 0 || result == -EINVAL);
	MUST(expression_compile(text, point, &world->arena, &again, again_error) == result);
	MUST(strcmp(error, again_error) == 0);
	if (result < 0) {
		look_at_error(error);
		return;
	}
	MUST(expression.type == again.type && expression.needs == again.needs);
	MUST(expression.type != EXPRESSION_NONE);
	expression_scratch_init(&world->scratch);
	MUST(has_type(expression_evaluate(&expression, &world->facts), expression.type));
	look_twice(&expression, world);
	/* A NUL ends what look_at_condition() writes around it. */
	if (expression.type == EXPRESSION_BOOL && span_find(text, '\0') < 0)
		look_at_condition(&expression, world, point, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest, text, claims;
	struct world *world;
	char *copy, *text_copy;

	if (!size || size > FUZZ_BYTES)
		return 0;
	if (!checker)
		checker = mcp_json_checker_create();
	copy = malloc(size);
	world = calloc(1, sizeof(*world));
	MUST(copy && world && checker);
	memcpy(copy, data + 1, size - 1);
	rest = span_of(copy, size - 1);
	text = take_part(&rest);
	claims = take_part(&rest);
	/* Its own, so that what is read behind it is found. */
	text_copy = malloc(text.len ? text.len : 1);
	MUST(text_copy);
	memcpy(text_copy, text.data, text.len);
	world_make(world, claims, rest);
	run(span_of(text_copy, text.len), (enum expression_point)(data[0] % EXPRESSION_POINTS), world);
	arena_done(&world->arena);
	free(world);
	free(text_copy);
	free(copy);
	return 0;
}
