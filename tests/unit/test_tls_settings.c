/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/tls_play.h"
#include "user/base/check.h"

static struct tls_fault fault;

static void add_cipher(struct tls_params *params, const char *name)
{
	if (tls_params_add_cipher(params, span_str(name), &play.arena, &fault))
		fail_msg("%s", fault.text);
}

static void add_group(struct tls_params *params, const char *name)
{
	if (tls_params_add_group(params, span_str(name), &play.arena, &fault))
		fail_msg("%s", fault.text);
}

TLS_PLAY_TEST(ciphers_go_by_both_names_into_the_list_of_their_version)
{
	struct tls_params params = { 0 };

	add_cipher(&params, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
	add_cipher(&params, "ECDHE-ECDSA-AES256-GCM-SHA384");
	add_cipher(&params, "tls_aes_256_gcm_sha384");
	add_cipher(&params, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
	add_cipher(&params, "TLS13_CHACHA20_POLY1305_SHA256");
	assert_string_equal(params.ciphers.data, "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384");
	assert_string_equal(params.suites.data, "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
}

TLS_PLAY_TEST(a_cipher_that_is_unknown_or_weak_or_no_name_is_refused)
{
	static const char *const names[] = {
		"TLS_NULL_WITH_NULL_NULL",
		"TLS_RSA_WITH_NULL_SHA",
		"TLS_RSA_WITH_RC4_128_MD5",
		"ADH-AES128-SHA",
		"TLS_DH_anon_WITH_AES_128_CBC_SHA",
		"ALL",
		"HIGH",
		"DEFAULT",
		"TLS_PSK_WITH_AES_128_GCM_SHA256",
		"AES128+RSA",
		"a:b",
		"",
		"@SECLEVEL=0",
		"!ALL",
		"x\n",
	};
	struct tls_params params = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_int_equal(tls_params_add_cipher(&params, span_str(names[i]), &play.arena, &fault),
				 -EINVAL);
		assert_int_not_equal(fault.text[0], 0);
	}
	assert_int_equal(params.ciphers.len + params.suites.len, 0);
	assert_int_equal(tls_params_add_cipher(&params, SPAN("NOPE"), &play.arena, &fault), -EINVAL);
	assert_string_equal(fault.text, "no cipher \"NOPE\" for TLS 1.2 or 1.3 here: openssl ciphers -s "
					"-stdname "
					"-tls1_2 (or -tls1_3) lists what there is");
}

TLS_PLAY_TEST(groups_go_by_every_name_they_have)
{
	struct tls_params params = { 0 };

	add_group(&params, "X25519");
	add_group(&params, "secp256r1");
	add_group(&params, "P-256");
	add_group(&params, "p-384");
	assert_string_equal(params.groups.data, "X25519:P-256:P-384");
	assert_int_equal(tls_params_add_group(&params, SPAN("X25519:P-256"), &play.arena, &fault), -EINVAL);
	assert_int_equal(tls_params_add_group(&params, SPAN("secp192r1"), &play.arena, &fault), -EINVAL);
	assert_string_equal(fault.text, "no group \"secp192r1\": there are X25519, P-256, P-384, P-521, "
					"X448, "
					"X25519MLKEM768");
	assert_string_equal(params.groups.data, "X25519:P-256:P-384");
}

TLS_PLAY_TEST(what_is_named_is_what_is_spoken)
{
	static const struct {
		const char *cipher;
		const char *version;
	} rows[] = { { "ECDHE-ECDSA-CHACHA20-POLY1305", "TLSv1.2" },
		     { "TLS_CHACHA20_POLY1305_SHA256", "TLSv1.3" },
		     { "ECDHE-ECDSA-AES128-SHA", "TLSv1.2" } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		play.server_settings.params = (struct tls_params){ 0 };
		play.client_settings.params = (struct tls_params){ 0 };
		add_cipher(&play.server_settings.params, rows[i].cipher);
		/* CBC is nothing that our clients offer unasked. */
		if (strstr(rows[i].cipher, "AES128-SHA"))
			add_cipher(&play.client_settings.params, rows[i].cipher);
		tls_play_meet(&play, "a.example", NULL);
		tls_assert_talk(&play);
		assert_string_equal(tls_cipher_text(play.server_end.session), rows[i].cipher);
		assert_string_equal(tls_version_text(play.server_end.session), rows[i].version);
	}
}

TLS_PLAY_TEST(groups_that_do_not_overlap_end_the_handshake)
{
	add_group(&play.server_settings.params, "P-384");
	add_group(&play.client_settings.params, "X25519");
	tls_play_meet(&play, "a.example", NULL);
	assert_int_equal(tls_session_failure(play.server_end.session), TLS_FAIL_PROTOCOL);
	/* With a second one the server asks for another hello (RFC 8446 4.1.4). */
	add_group(&play.client_settings.params, "P-384");
	tls_play_meet(&play, "a.example", NULL);
	tls_assert_talk(&play);
}

TLS_PLAY_TEST(versions_that_do_not_overlap_end_the_handshake)
{
	play.server_settings.params.min_version = TLS_VERSION_1_3;
	play.client_settings.params.max_version = TLS_VERSION_1_2;
	tls_play_meet(&play, "a.example", NULL);
	tls_assert_failed(play.server_end.session, TLS_FAIL_PROTOCOL,
			  "no TLS version that both sides can use");
	tls_assert_failed(play.client_end.session, TLS_FAIL_ALERT,
			  "the peer refused: protocol version (alert 70)");
}

static void assert_unsealed(struct tls_params params, const char *want)
{
	struct tls_server_settings server = { .params = params };
	struct tls_client_settings client = { .params = params, .verify = TLS_VERIFY_NONE };

	assert_int_equal(settings_compile_server(&server, &fault), -EINVAL);
	assert_string_equal(fault.text, want);
	assert_int_equal(settings_compile_client(&client, &fault), -EINVAL);
	assert_string_equal(fault.text, want);
}

TLS_PLAY_TEST(params_that_leave_nothing_are_not_compiled)
{
	struct tls_params params = { .min_version = TLS_VERSION_1_3, .max_version = TLS_VERSION_1_2 };

	assert_unsealed(params, "the minimum version, TLS 1.3, is above the maximum, TLS 1.2");
	params = (struct tls_params){ .min_version = TLS_VERSION_1_3 };
	add_cipher(&params, "ECDHE-RSA-AES128-GCM-SHA256");
	assert_unsealed(params, "all configured ciphers are of TLS 1.2, which the versions exclude");
	params = (struct tls_params){ .max_version = TLS_VERSION_1_2 };
	add_cipher(&params, "TLS_AES_128_GCM_SHA256");
	assert_unsealed(params, "all configured ciphers are of TLS 1.3, which the versions exclude");
}

TLS_PLAY_TEST(verification_without_authorities_is_not_compiled)
{
	struct tls_server_settings server = { .client_auth = TLS_CLIENT_OPTIONAL };
	struct tls_client_settings client = { .verify = TLS_VERIFY_FULL };

	assert_int_equal(settings_compile_server(&server, &fault), -EINVAL);
	server.client_auth = TLS_CLIENT_REQUIRED;
	assert_int_equal(settings_compile_server(&server, &fault), -EINVAL);
	assert_int_equal(settings_compile_client(&client, &fault), -EINVAL);
	client.verify = TLS_VERIFY_CHAIN;
	assert_int_equal(settings_compile_client(&client, &fault), -EINVAL);
}

static uint64_t client_hash(struct tls_client_settings settings)
{
	assert_int_equal(settings_compile_client(&settings, &fault), 0);
	assert_int_not_equal(settings.hash, 0);
	return settings.hash;
}

TLS_PLAY_TEST(everything_that_is_said_is_in_the_hash)
{
	const struct tls_client_settings base = play.client_settings;
	struct span ab[] = { SPAN("a"), SPAN("b") }, a_b[] = { SPAN("ab"), SPAN("") };
	struct pki other = PKI(.name = "other", .is_authority = true);
	struct tls_trust *trust = tls_play_trust(&play, &other);
	struct tls_client_settings rows[12];
	uint64_t hashes[ARRAY_LEN(rows) + 1];
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		rows[i] = base;
	rows[0].params.min_version = TLS_VERSION_1_3;
	rows[1].params.max_version = TLS_VERSION_1_2;
	add_cipher(&rows[2].params, "ECDHE-RSA-AES128-GCM-SHA256");
	add_cipher(&rows[3].params, "TLS_AES_128_GCM_SHA256");
	add_group(&rows[4].params, "P-256");
	rows[5].params.alpn = SPAN("\2h2");
	rows[6].verify = TLS_VERIFY_CHAIN;
	rows[7].trust = trust;
	rows[8].identity = play.identity;
	rows[9].hostname = SPAN("ab");
	rows[10].name_list = ab;
	rows[10].name_count = 2;
	rows[11].name_list = a_b;
	rows[11].name_count = 2;
	hashes[count++] = client_hash(base);
	assert_int_equal(client_hash(base), hashes[0]);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t hash = client_hash(rows[i]);

		for (size_t j = 0; j < count; j++)
			assert_int_not_equal(hash, hashes[j]);
		hashes[count++] = hash;
	}
	assert_int_not_equal(play.server_settings.hash, hashes[0]);
	tls_trust_free(trust);
	pki_free(&other);
}

TLS_PLAY_TEST(protocols_are_bounded)
{
	char name[256] = "";
	struct tls_params params = { 0 };

	memset(name, 'a', sizeof(name));
	assert_int_equal(tls_params_add_alpn(&params, span_of(name, 256), &play.arena, &fault), -EINVAL);
	assert_int_equal(tls_params_add_alpn(&params, SPAN(""), &play.arena, &fault), -EINVAL);
	for (int i = 0; i < 4; i++)
		assert_int_equal(tls_params_add_alpn(&params, span_of(name, 255), &play.arena, &fault), 0);
	assert_int_equal(tls_params_add_alpn(&params, span_of(name, 1), &play.arena, &fault), -EINVAL);
	assert_int_equal(params.alpn.len, 1024);
}

TEST(a_fault_is_one_bounded_printable_line)
{
	char text[2 * TLS_FAULT_BYTES];

	memset(text, '\n', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	tls_fault_set(&fault, "a%s", text);
	assert_in_range(strlen(fault.text), TLS_FAULT_BYTES - 5, TLS_FAULT_BYTES - 1);
	assert_memory_equal(fault.text, "a\\x0a\\x0a", 9);
}
