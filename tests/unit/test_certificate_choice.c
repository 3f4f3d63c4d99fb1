/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/match/certificate.h"

#include <stdio.h>

#include "tests/lib/test_arena.h"

#include "tests/lib/alloc.h"

TEST_ARENA(arena, 4096);

/* Names of one certificate, separated by blanks. */
static const struct tls_identity *identity_of(const char *key, const char *names)
{
	struct tls_identity *identity = arena_take(&arena, sizeof(*identity));
	struct span rest = span_str(names), name;

	identity->certificate.key = span_str(key);
	identity->certificate.name_list = arena_take(&arena, 16 * sizeof(struct span));
	while (rest.len && span_split(&rest, ' ', &name))
		identity->certificate.name_list[identity->certificate.name_count++] = name;
	return identity;
}

enum { IDENTITIES = 6 };

static struct listener_tls make(const struct tls_identity *list[IDENTITIES])
{
	struct listener_tls tls = { .identity_list = list, .identity_count = IDENTITIES };

	list[0] = identity_of("RSA 2048", "default.test www.default.test");
	list[1] = identity_of("RSA 2048", "a.example.com 192.0.2.1");
	list[2] = identity_of("EC prime256v1", "a.example.com");
	list[3] = identity_of("RSA 2048", "*.example.com f*.example.org * *.*.test");
	list[4] = identity_of("EC prime256v1", "www.default.test default.test");
	list[5] = identity_of("RSA 4096", "a.example.com *.b.example.com");
	return tls;
}

static const struct {
	const char *name; /* of the client */
	const char *chosen; /* indexes */
} cases[] = {
	{ "a.example.com", "12" },
	{ "A.Example.COM", "12" },
	{ "a.example.com.", "12" },
	{ "b.example.com", "3" },
	{ "x.b.example.com", "5" },
	{ "x.y.b.example.com", "04" },
	{ "x.y.example.com", "04" },
	{ "example.com", "04" },
	{ "foo.example.org", "04" },
	{ "www.default.test", "04" },
	{ "", "04" },
	{ ".", "04" },
	{ "*", "04" },
	{ "other.invalid", "04" },
};

TEST(the_certificates_of_the_most_specific_name_are_chosen_one_for_each_kind_of_key)
{
	const struct tls_identity *list[IDENTITIES], *chosen[CERTIFICATE_KEYS];
	struct listener_tls tls = make(list);

	assert_int_equal(certificate_names_build(&tls, &arena), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t count = certificate_choose(&tls, span_str(cases[i].name), chosen);
		char shown[IDENTITIES + 1] = "";

		for (uint32_t c = 0; c < count; c++)
			for (int at = 0; at < IDENTITIES; at++)
				if (chosen[c] == list[at])
					shown[c] = (char)('0' + at);
		if (strcmp(shown, cases[i].chosen) != 0)
			fail_msg("%s: %s, expected %s", cases[i].name, shown, cases[i].chosen);
	}
}

TEST(one_certificate_is_for_every_name_and_none_is_none)
{
	const struct tls_identity *list[] = { identity_of("RSA 2048", "a.test") }, *chosen[CERTIFICATE_KEYS];
	struct listener_tls tls = { .identity_list = list, .identity_count = 1 };

	assert_int_equal(certificate_names_build(&tls, &arena), 0);
	assert_null(tls.names);
	assert_int_equal(certificate_choose(&tls, SPAN("b.test"), chosen), 1);
	assert_ptr_equal(chosen[0], list[0]);
	tls.identity_count = 0;
	assert_int_equal(certificate_choose(&tls, SPAN("a.test"), chosen), 0);
}

TEST(ten_thousand_certificates_are_looked_up_by_name)
{
	enum { MANY = 10000 };
	const struct tls_identity **list = arena_take(&arena, MANY * sizeof(*list)),
				  *chosen[CERTIFICATE_KEYS];
	struct listener_tls tls = { .identity_list = list, .identity_count = MANY };
	char name[32];

	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "h%d.example.com", i);
		list[i] = identity_of("RSA 2048", arena_copy(&arena, span_str(name)).data);
	}
	assert_int_equal(certificate_names_build(&tls, &arena), 0);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "h%d.example.com", i);
		assert_int_equal(certificate_choose(&tls, span_str(name), chosen), 1);
		assert_ptr_equal(chosen[0], list[i]);
	}
}

static int build_once(void *context)
{
	struct listener_tls tls = *(struct listener_tls *)context;
	struct arena own;
	int result;

	arena_init(&own, 64);
	result = certificate_names_build(&tls, &own);
	arena_done(&own);
	return result;
}

TEST(each_allocation_of_the_index_may_fail)
{
	const struct tls_identity *list[IDENTITIES];
	struct listener_tls tls = make(list);

	assert_true(alloc_fail_each(build_once, &tls) > 2);
}
