/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <string.h>

#include "user/upstream/alpn.h"

#define H1 "\x08http/1.1"
#define H2 "\x02h2"

TEST(a_backend_is_offered_what_the_dial_can_use)
{
	static const struct {
		struct span said;
		struct span offer[4]; /* by enum dial_protocol */
	} table[] = {
		{ SPAN(""), { SPAN(H1), SPAN(H2), SPAN(H2 H1), SPAN("") } },
		{ SPAN(H1), { SPAN(H1), SPAN(H2), SPAN(H1), SPAN(H1) } },
		{ SPAN(H2), { SPAN(H1), SPAN(H2), SPAN(H2), SPAN(H2) } },
		{ SPAN(H1 H2), { SPAN(H1), SPAN(H2), SPAN(H1 H2), SPAN(H1 H2) } },
		{ SPAN("\x05istio" H2),
		  { SPAN("\x05istio"), SPAN("\x05istio" H2), SPAN("\x05istio" H2), SPAN("\x05istio" H2) } },
		/* cut: what is whole counts */
		{ SPAN(H2 "\x08http"), { SPAN(H1), SPAN(H2), SPAN(H2), SPAN(H2) } },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		for (int protocol = DIAL_HTTP1; protocol <= DIAL_BYTES; protocol++) {
			struct tls_client_settings settings = { .params.alpn = table[i].said, .hash = 7 };
			struct alpn_offer memory;

			alpn_offer((enum dial_protocol)protocol, &settings, &memory);
			assert_true(span_eq(settings.params.alpn, table[i].offer[protocol]));
			assert_int_not_equal(settings.hash, 7);
		}
	}
}

TEST(offers_differ_in_their_hash)
{
	struct tls_client_settings a = { .hash = 1 }, b = { .hash = 1 }, other = { .hash = 2 };
	struct alpn_offer memory;

	alpn_offer(DIAL_HTTP1, &a, &memory);
	alpn_offer(DIAL_HTTP2, &b, &memory);
	alpn_offer(DIAL_HTTP1, &other, &memory);
	assert_int_not_equal(a.hash, b.hash);
	assert_int_not_equal(a.hash, other.hash);
}

TEST(more_names_than_fit_are_left_out)
{
	char list[3 * 101];
	struct tls_client_settings settings = { .params.alpn = span_of(list, sizeof(list)) };
	struct alpn_offer memory;

	for (size_t i = 0; i < sizeof(list); i++)
		list[i] = i % 101 ? 'x' : 100;
	alpn_offer(DIAL_EITHER, &settings, &memory);
	assert_int_equal(settings.params.alpn.len, 2 * 101);
}

TEST(what_was_chosen_is_used_or_refused_with_a_reason)
{
	static const struct {
		enum dial_protocol protocol;
		struct span chosen;
		bool is_accepted;
		bool is_http2;
	} table[] = {
		{ DIAL_HTTP1, SPAN(""), true, false },
		{ DIAL_HTTP1, SPAN("http/1.1"), true, false },
		{ DIAL_HTTP1, SPAN("h2"), false, false },
		{ DIAL_HTTP2, SPAN("h2"), true, true },
		{ DIAL_HTTP2, SPAN(""), false, false },
		{ DIAL_HTTP2, SPAN("http/1.1"), false, false },
		{ DIAL_EITHER, SPAN("h2"), true, true },
		{ DIAL_EITHER, SPAN(""), true, false },
		{ DIAL_EITHER, SPAN("http/1.1"), true, false },
		{ DIAL_BYTES, SPAN("h2"), true, false },
		{ DIAL_BYTES, SPAN(""), true, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct tls_fault fault = { "" };
		bool is_http2 = false;
		bool is_accepted = alpn_accept(table[i].protocol, table[i].chosen, &is_http2, &fault);

		assert_int_equal(is_accepted, table[i].is_accepted);
		assert_int_equal(fault.text[0] != '\0', !is_accepted);
		if (is_accepted)
			assert_int_equal(is_http2, table[i].is_http2);
	}
}

TEST(a_backend_has_a_choice_unless_h2_is_not_offered)
{
	struct tls_client_settings settings = { 0 };

	assert_true(alpn_has_choice(&settings));
	settings.params.alpn = SPAN(H1);
	assert_false(alpn_has_choice(&settings));
	settings.params.alpn = SPAN(H1 H2);
	assert_true(alpn_has_choice(&settings));
}
