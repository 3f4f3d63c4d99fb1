/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/affinity.h"

#include <errno.h>
#include <stdio.h>

#include "user/base/hash.h"
#include "user/base/text.h"
#include "user/stream/facts.h"

static uint32_t needs_of(const struct affinity *affinity)
{
	uint32_t needs = 0;

	for (uint32_t i = 0; i < affinity->key_count; i++)
		needs |= affinity->key_list[i]->needs;
	return needs;
}

static uint64_t add_value(uint64_t hash, struct span value)
{
	return hash_mix(hash + value.len, hash_bytes(value));
}

/* Values that are absent count as such, so that no two lists of values look alike. */
static int hash_values(struct stream_facts *f, const struct affinity *affinity, uint64_t *ret_hash)
{
	uint64_t hash = 0;
	bool has_value = false;

	for (uint32_t i = 0; i < affinity->key_count; i++) {
		struct span value = { 0 };

		expression_scratch_init(&f->scratch);
		if (expression_text(affinity->key_list[i], &f->facts, &value) == 0 && value.len)
			has_value = true;
		hash = add_value(hash, value);
	}
	*ret_hash = hash;
	return has_value ? 0 : -ENODATA;
}

/* The first attempt makes it, and others keep it. Random, so that new clients spread; it is no secret. */
static int make_cookie(struct stream *stream, const struct affinity_cookie *cookie)
{
	struct exchange *exchange = stream->exchange;
	char text[33];

	if (exchange->new_cookie == cookie)
		return 0;
	snprintf(text, sizeof(text), "%016llx%016llx", (unsigned long long)proxy_random(stream->proxy),
		 (unsigned long long)proxy_random(stream->proxy));
	exchange->new_cookie_value = arena_copy(&exchange->arena, span_of(text, sizeof(text) - 1));
	exchange->new_cookie = exchange->new_cookie_value.data ? cookie : NULL;
	return exchange->new_cookie ? 0 : -ENOMEM;
}

static bool sets_cookie(const struct affinity *affinity)
{
	return affinity->kind == AFFINITY_COOKIE && affinity->cookie.ttl.is_set;
}

int affinity_answer(struct stream *stream)
{
	const struct affinity *affinity = stream->backend->affinity;
	struct exchange *exchange = stream->exchange;
	struct span copy = { 0 };
	struct text text;

	if (!exchange->new_cookie || !affinity || &affinity->cookie != exchange->new_cookie)
		return 0;
	text_init(&text);
	text_fmt(&text, "%.*s=%.*s%.*s", SPAN_FMT(exchange->new_cookie->key.name),
		 SPAN_FMT(exchange->new_cookie_value), SPAN_FMT(exchange->new_cookie->ending));
	if (!text_error(&text))
		copy = arena_copy(&exchange->response_arena, text_span(&text));
	text_done(&text);
	return copy.data ? fields_add(&exchange->response.fields, SPAN("set-cookie"), copy) : -ENOMEM;
}

int affinity_hash(struct stream *stream, const struct affinity *affinity, uint64_t *ret_hash)
{
	struct stream_facts facts;
	struct arena arena;
	int error;

	arena_init(&arena, 1024);
	error = stream_facts_fill(&facts, stream, needs_of(affinity), &arena);
	if (!error)
		error = hash_values(&facts, affinity, ret_hash);
	arena_done(&arena);
	if (error == -ENODATA && sets_cookie(affinity) && stream->exchange) {
		error = make_cookie(stream, &affinity->cookie);
		*ret_hash = add_value(0, stream->exchange->new_cookie_value);
	}
	return error;
}
