/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/credential.h"

#include <errno.h>

#include "tests/lib/test_arena.h"
#include "tests/unit/policy_model.h"
#include "user/base/check.h"

TEST_ARENA(arena, 4096);

static const struct credential_location header = { .kind = LOCATION_HEADER, .name = SPAN("x-key") };
static const struct credential_location bearer = { .kind = LOCATION_HEADER,
						   .name = SPAN("authorization"),
						   .prefix = SPAN("Bearer ") };
static const struct credential_location query = { .kind = LOCATION_QUERY, .name = SPAN("key") };
static const struct credential_location cookie = { .kind = LOCATION_COOKIE, .name = SPAN("key") };

/* What is there, and what is left of it when it is taken out. */
static const struct row {
	const struct credential_location *location;
	const char *query; /* NULL: none */
	const char *fields;
	int found;
	const char *value;
	const char *query_left;
	const char *fields_left;
} rows[] = {
	{ &header, NULL, "X-Key: a\nb: c", CREDENTIAL_FOUND, "a", NULL, "b: c" },
	{ &header, NULL, "x-key: a\nX_Key: b", CREDENTIAL_FOUND, "a", NULL, "" },
	{ &header, NULL, "b: c", CREDENTIAL_ABSENT, "", NULL, "b: c" },
	{ &header, NULL, "x_key: a", CREDENTIAL_ABSENT, "", NULL, "" },
	{ &header, NULL, "x-key: ", CREDENTIAL_INVALID, "", NULL, "" },
	{ &header, NULL, "x-key: a\nX-KEY: a", CREDENTIAL_INVALID, "", NULL, "" },
	{ &header, "x-key=a", "b: c", CREDENTIAL_ABSENT, "", "x-key=a", "b: c" },
	{ &bearer, NULL, "Authorization: bEARER  a b", CREDENTIAL_FOUND, "a b", NULL, "" },
	{ &bearer, NULL, "Authorization: Bearer", CREDENTIAL_ABSENT, "", NULL, "" },
	{ &bearer, NULL, "Authorization: Basic a", CREDENTIAL_ABSENT, "", NULL, "" },
	{ &bearer, NULL, "Authorization: Bearera", CREDENTIAL_ABSENT, "", NULL, "" },
	{ &bearer, NULL, "Authorization: Basic a\nAuthorization: Bearer b", CREDENTIAL_INVALID, "", NULL,
	  "" },
	{ &query, "key=a", "", CREDENTIAL_FOUND, "a", NULL, "" },
	{ &query, "b=c&key=a&d", "", CREDENTIAL_FOUND, "a", "b=c&d", "" },
	{ &query, "k%65y=%61+%2B&b", "", CREDENTIAL_FOUND, "a +", "b", "" },
	{ &query, "keys=a&ke=b&KEY=c", "", CREDENTIAL_ABSENT, "", "keys=a&ke=b&KEY=c", "" },
	{ &query, "key=a&key=a", "", CREDENTIAL_INVALID, "", NULL, "" },
	{ &query, "key=a&%6bey=b", "", CREDENTIAL_INVALID, "", NULL, "" },
	{ &query, "key", "", CREDENTIAL_INVALID, "", NULL, "" },
	{ &query, "key=", "", CREDENTIAL_INVALID, "", NULL, "" },
	{ &query, "key=%6", "", CREDENTIAL_INVALID, "", NULL, "" },
	{ &query, "key=%zz", "", CREDENTIAL_INVALID, "", NULL, "" },
	{ &query, "", "", CREDENTIAL_ABSENT, "", NULL, "" },
	{ &query, NULL, "", CREDENTIAL_ABSENT, "", NULL, "" },
	{ &query, "a%6=b&&key=c&", "", CREDENTIAL_FOUND, "c", "a%6=b&&", "" },
	{ &cookie, NULL, "cookie: a=b; key=c;d=e", CREDENTIAL_FOUND, "c", NULL, "cookie: a=b; d=e" },
	{ &cookie, NULL, "cookie: key=c\ncookie: a=b", CREDENTIAL_FOUND, "c", NULL, "cookie: a=b" },
	{ &cookie, NULL, "cookie: key=c; key=d", CREDENTIAL_INVALID, "", NULL, "" },
	{ &cookie, NULL, "cookie: key=c\ncookie: key=c", CREDENTIAL_INVALID, "", NULL, "" },
	{ &cookie, NULL, "cookie: key=", CREDENTIAL_INVALID, "", NULL, "" },
	{ &cookie, NULL, "cookie: keys=c; akey=d", CREDENTIAL_ABSENT, "", NULL, "cookie: keys=c; akey=d" },
	{ &cookie, NULL, "cookie: key", CREDENTIAL_ABSENT, "", NULL, "cookie: key" },
	{ &cookie, NULL, "x: key=c", CREDENTIAL_ABSENT, "", NULL, "x: key=c" },
};

TEST(a_credential_is_found_once_or_not_at_all)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct request_head head = head_with(&arena, rows[i].query, rows[i].fields);
		struct span value = { 0 };
		int found = credential_find(rows[i].location, &head, &arena, &value);

		if (found != rows[i].found ||
		    (found == CREDENTIAL_FOUND && !span_eq(value, span_str(rows[i].value))))
			fail_msg("row %zu: %d", i, found);
	}
}

TEST(a_request_for_the_whole_server_has_no_query)
{
	struct request_head head = { .path = SPAN("*") };

	assert_int_equal(credential_insert(&query, SPAN("key=c"), &head, &arena), -EINVAL);
	assert_false(head.has_query);
}

TEST(what_is_taken_out_is_gone_and_the_rest_stays)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct request_head head = head_with(&arena, rows[i].query, rows[i].fields);
		struct request_head left = head_with(&arena, rows[i].query_left, rows[i].fields_left);
		bool is_same;

		assert_int_equal(credential_remove(rows[i].location, &head, &arena), 0);
		is_same = head.fields.count == left.fields.count;
		for (uint32_t k = 0; is_same && k < head.fields.count; k++)
			is_same = span_eq(head.fields.list[k].name, left.fields.list[k].name) &&
				  span_eq(head.fields.list[k].value, left.fields.list[k].value);
		if (rows[i].location->kind == LOCATION_QUERY)
			is_same = is_same && span_eq(head.query, left.query) &&
				  head.has_query == (rows[i].query_left != NULL);
		if (!is_same)
			fail_msg("row %zu: %.*s", i, SPAN_FMT(head.query));
	}
}
