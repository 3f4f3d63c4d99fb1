/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "tests/lib/test_arena.h"
#include "user/auth/htpasswd.h"
#include "user/auth/password_hash.h"
#include "user/base/check.h"

TEST_ARENA(arena, 4096);

#define PASSWORD "pa:ss w\xc3\xb6rd"

/* Written by htpasswd 2.4.71 (-m, -s, -d, -B, -B -C 10) and by mkpasswd 5.5.17 in every form it lists. */
static const char *const hashes[] = {
	"$apr1$YiPZEg5X$zKuMA0QopCi4HIP0BoYbt/",
	"{SHA}cRQ3iPZN/cUFUyAxdC91S5hcXvA=",
	"OzJ6/2K4ZAKEY",
	"$2y$05$oSFIIq2nP7SCO/G4qh2AmuoHah3lVicBw2pU11IP8BGd9CG3ZULDm",
	"$2y$10$dhuqmgmViogxFDhhzmktSeJOIOmyJ24AAJ.qOddJ1e4xsrftgJV5q",
	"$y$j9T$r5FhZZpUIExAkMRz4gOWM/$bfrw7ZKGdrKsFnpOpEwwMGEBdu27aiip0BQi55XINnA",
	"$gy$j9T$2F70Nuv0jIIctyFxvclUp.$zvMiH3NfugkUGiKJt8KS0CBarYOw.sYZRFwehglcMZC",
	"$7$CU..../....U5BVUb2v.r6XJ1MbjVADP1$MVlZAgEM35i9KKy8k7AufBVI9JNZodzHaLdnJtO8smD",
	"$2b$05$UgIqWNmwww5yrDlDJ2ugzO7NR3CpUSV4GnRHrTXydPuFhjcLYdkx.",
	"$2a$05$Ir4HQnnKhjaQ2lAyWAkgZeMLSOBUPUVjNv.Z4EcP2IQur6V/wU/iu",
	("$6$I/M76MhI75IGxw0e$"
	 "ISeWUV/11yryNTdCvs.7Mgr2oPla6p6jbbkTiTIWZkqNdn.W9FuSKW7a1JruKr02vprINJeEQQpjeXBrzi.XU0"),
	"$5$Q.pe54nrSMTOP/n0$4.3JneEzJPFb3pMrD3FGsUtifCUxU4BO8sc9KewNG/1",
	"$md5,rounds=85981$UoyUxluH$$3WCucXTWsH4wrenOdmMAl0",
	"$1$joSW1Cqt$si3TRWwskLBW9oVQrIC6F.",
	"_J9..GwUZIdaF3smo9ws",
	"iEfEOdUa1RR.M",
	"$3$$56ae31091d43e545c481ab17086f2dcd",
};

TEST(every_form_that_the_tools_write_accepts_its_password_and_no_other)
{
	struct password_work *work = password_work_create();

	assert_non_null(work);
	for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
		struct span hash = span_str(hashes[i]);
		enum password_scheme scheme;

		if (password_format_check(hash, &scheme))
			fail_msg("%s: %s", hashes[i], password_format_check(hash, &scheme));
		assert_int_equal(password_hash_is_known(hash), 0);
		if (password_hash_verify(work, hash, SPAN(PASSWORD)) != 1)
			fail_msg("%s: refused", hashes[i]);
		/* From the first character on: the oldest form reads eight. */
		if (password_hash_verify(work, hash, SPAN("Pa:ss w\xc3\xb6rd")) != 0 ||
		    password_hash_verify(work, hash, SPAN("")) != 0)
			fail_msg("%s: another password", hashes[i]);
	}
	password_work_free(work);
}

/* Lengths around those of the digest; written by `openssl passwd -apr1`. */
TEST(apr1_agrees_with_openssl_at_every_length)
{
	static const struct {
		const char *password;
		const char *hash;
	} rows[] = {
		{ "a", "$apr1$x$16j9.5e7KiXmuYFAYpPJM/" },
		{ "a", "$apr1$12345678$68ZQVfPkWX/wcXr/41VxQ." },
		{ "ab", "$apr1$x$A44QYOFZ/4XgMOpt4xyB51" },
		{ "ab", "$apr1$12345678$AmADfzi4unGWVDfLF3SrT/" },
		{ "abcdefg", "$apr1$x$yJhQcMy0XN/RKxWPtL.Qb." },
		{ "abcdefg", "$apr1$12345678$qcyYbQlOMaogDFt3k2Z/U1" },
		{ "abcdefgh", "$apr1$x$ZOEgl8KOs.0Kd8PJ4V/R1/" },
		{ "abcdefgh", "$apr1$12345678$gvNe087p1ol/rBOeBrqIT." },
		{ "abcdefghi", "$apr1$x$/dLug7DjON3t6o1FKzFub/" },
		{ "abcdefghi", "$apr1$12345678$9EXsZz6K8QqeNdXF3X0AG0" },
		{ "abcdefghijabcd", "$apr1$x$qKX1z0IdehemoFEJBqwCR0" },
		{ "abcdefghijabcd", "$apr1$12345678$NFdUXjoXByFMCkrQ5kP/y." },
		{ "abcdefghijabcde", "$apr1$x$sQXAmCh.IzUBi2W/Dt5gp1" },
		{ "abcdefghijabcde", "$apr1$12345678$fxh6qBKOP3JjuxwImaOzF." },
		{ "abcdefghijabcdef", "$apr1$x$xmhtFy0RL./7ArC0GzNYd/" },
		{ "abcdefghijabcdef", "$apr1$12345678$8Vk2W58fz2xAfqhkr0Jne0" },
		{ "abcdefghijabcdefg", "$apr1$x$ziOFYcyd450mcOpweTF.V." },
		{ "abcdefghijabcdefg", "$apr1$12345678$MC5qYvS.BPTdUSvD21Kys." },
		{ "abcdefghijabcdefghijabcdefghija", "$apr1$x$iHXHNO7GAXNg8PECK/bAj1" },
		{ "abcdefghijabcdefghijabcdefghija", "$apr1$12345678$Se8GpJeDTGNn5U10J9vdw." },
		{ "abcdefghijabcdefghijabcdefghijab", "$apr1$x$qg8Ac2WDsoS6dvbmBLpL2." },
		{ "abcdefghijabcdefghijabcdefghijab", "$apr1$12345678$caE5ydZThpNRnbaNnvK2.." },
		{ "abcdefghijabcdefghijabcdefghijabc", "$apr1$x$.Sn0zCSWjUi.ZMWkCjFje." },
		{ "abcdefghijabcdefghijabcdefghijabc", "$apr1$12345678$wlQthpCIPUZSDgREQx7nk0" },
		{ "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabc",
		  "$apr1$x$V7BamGVguTanSzkf3.AR0/" },
		{ "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabc",
		  "$apr1$12345678$ElQLOH/IdMROls8XDW61N0" },
		{ "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcd",
		  "$apr1$x$iI19TH1bvz3UJnluDIuGX0" },
		{ "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcd",
		  "$apr1$12345678$dDsszcmnbm0R0vp1Jr5i7/" },
		{ "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcde",
		  "$apr1$x$1Ct06JJQ6g8p.SQuNHvg8/" },
		{ "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcde",
		  "$apr1$12345678$2Qc61.Mg.h6VckV.hbJ4s0" },
	};
	struct password_work *work = password_work_create();

	assert_non_null(work);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (password_hash_verify(work, span_str(rows[i].hash), span_str(rows[i].password)) != 1)
			fail_msg("%s", rows[i].password);
	password_work_free(work);
}

TEST(a_password_that_crypt_would_cut_is_never_right)
{
	struct password_work *work = password_work_create();
	char longer[PASSWORD_BYTES + 2];

	assert_non_null(work);
	memset(longer, 'a', sizeof(longer));
	for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
		struct span hash = span_str(hashes[i]);

		assert_int_equal(password_hash_verify(work, hash, SPAN(PASSWORD "\0x")), 0);
		assert_int_equal(password_hash_verify(work, hash, SPAN(PASSWORD "\0")), 0);
		assert_int_equal(password_hash_verify(work, hash, span_of(longer, PASSWORD_BYTES + 1)), 0);
	}
	password_work_free(work);
}

TEST(what_is_not_a_complete_hash_is_refused_when_it_is_loaded)
{
	static const char *const wrong[] = {
		"",
		"secret",
		"plain text",
		"{SHA}cRQ3iPZN",
		"{SSHA}cRQ3iPZN/cUFUyAxdC91S5hcXvA=",
		"$apr1$YiPZEg5X$zKuMA0QopCi4HIP0BoYbt",
		"$apr1$YiPZEg5X$zKuMA0QopCi4HIP0BoYbt//",
		"$apr1$YiPZEg5X",
		"$apr1$$YiPZEg5X$zKuMA0QopCi4HIP0BoYbt/",
		"$2y$05$oSFIIq2nP7SCO/G4qh2AmuoHah3lVicBw2pU11IP8BGd9CG3ZULD",
		"$argon2id$v=19$m=65536,t=2,p=1$c2FsdHNhbHQ$C29yZQ",
		"$6$a b$x",
		"*",
		"!",
		"x",
		/* These would take days. */
		"$2y$31$oSFIIq2nP7SCO/G4qh2AmuoHah3lVicBw2pU11IP8BGd9CG3ZULDm",
		"$2y$15$oSFIIq2nP7SCO/G4qh2AmuoHah3lVicBw2pU11IP8BGd9CG3ZULDm",
		"$5$rounds=999999999$Q.pe54nrSMTOP/n0$4.3JneEzJPFb3pMrD3FGsUtifCUxU4BO8sc9KewNG/1",
		"$5$rounds=99999999999999999999999$Q.pe54nrSMTOP$4.3JneEzJPFb3pMrD3FGsUtifCUxU4BO8sc9KewNG/1",
		"$md5,rounds=999999999$UoyUxluH$$3WCucXTWsH4wrenOdmMAl0",
		"$y$jFT$r5FhZZpUIExAkMRz4gOWM/$bfrw7ZKGdrKsFnpOpEwwMGEBdu27aiip0BQi55XINnA",
		"$7$IU..../....U5BVUb2v.r6XJ1MbjVADP1$MVlZAgEM35i9KKy8k7AufBVI9JNZodzHaLdnJtO8smD",
	};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		enum password_scheme scheme;

		if (!password_format_check(span_str(wrong[i]), &scheme))
			fail_msg("%s was accepted", wrong[i]);
		if (password_hash_is_known(span_str(wrong[i])) == 0)
			fail_msg("%s is known", wrong[i]);
	}
}

TEST(a_hash_is_recognized_in_a_text_only_when_it_is_complete)
{
	for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
		size_t len = strlen(hashes[i]), want = hashes[i][0] == '$' ? len : 0;
		char longer[256];

		assert_int_equal(password_hash_length(span_str(hashes[i])), want);
		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(password_hash_length(span_of(hashes[i], cut)), 0);
		snprintf(longer, sizeof(longer), "%s\nbob:", hashes[i]);
		assert_int_equal(password_hash_length(span_str(longer)), want);
		snprintf(longer, sizeof(longer), "%s\",", hashes[i]);
		assert_int_equal(password_hash_length(span_str(longer)), want);
		snprintf(longer, sizeof(longer), "%sx", hashes[i]);
		assert_int_equal(password_hash_length(span_str(longer)), 0);
	}
	assert_int_equal(password_hash_length(SPAN("$HOME")), 0);
	assert_int_equal(password_hash_length(SPAN("$y")), 0);
	assert_int_equal(password_hash_length(SPAN("${apr1}")), 0);
}

static int parse(const char *text, struct htpasswd *ret, struct htpasswd_fault *ret_fault)
{
	struct htpasswd_fault weak;

	return htpasswd_parse(&arena, span_str(text), ret, ret_fault, &weak);
}

TEST(users_are_found_by_their_whole_name)
{
	struct htpasswd users;
	struct htpasswd_fault fault;

	assert_int_equal(parse("# users\r\n\nbob:{SHA}cRQ3iPZN/cUFUyAxdC91S5hcXvA=\r\n"
			       "  alice:OzJ6/2K4ZAKEY  \nAlice:iEfEOdUa1RR.M",
			       &users, &fault),
			 0);
	assert_int_equal(users.user_count, 3);
	assert_string_equal(htpasswd_find(&users, SPAN("alice"))->hash.data,
			    "OzJ6/2K4ZAKEY  \nAlice:iEfEOdUa1RR.M");
	assert_int_equal(htpasswd_find(&users, SPAN("alice"))->hash.len, 13);
	assert_int_equal(htpasswd_find(&users, SPAN("bob"))->line, 3);
	assert_non_null(htpasswd_find(&users, SPAN("Alice")));
	assert_null(htpasswd_find(&users, SPAN("alic")));
	assert_null(htpasswd_find(&users, SPAN("alice ")));
	assert_null(htpasswd_find(&users, SPAN("ALICE")));
	assert_null(htpasswd_find(&users, SPAN("")));
	assert_null(htpasswd_find(&users, SPAN("# users")));
}

TEST(a_wrong_line_is_named)
{
	static const struct {
		const char *text;
		uint32_t line;
		const char *name;
	} rows[] = {
		{ "", 0, "" },
		{ "# nobody\n\n", 0, "" },
		{ "alice:OzJ6/2K4ZAKEY\nbob\n", 2, "" },
		{ "\n:OzJ6/2K4ZAKEY\n", 2, "" },
		{ "alice:\n", 1, "alice" },
		{ "alice:secret\n", 1, "alice" },
		{ "alice:OzJ6/2K4ZAKEY:x\n", 1, "alice" },
		{ "al\tice:OzJ6/2K4ZAKEY\n", 1, "al\tice" },
		{ "alice:OzJ6/2K4ZAKEY\nbob:OzJ6/2K4ZAKEY\nalice:iEfEOdUa1RR.M\n", 3, "alice" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct htpasswd users;
		struct htpasswd_fault fault = { 0 };

		assert_int_equal(parse(rows[i].text, &users, &fault), -EINVAL);
		assert_non_null(fault.what);
		if (rows[i].name[0] && !span_eq(fault.name, span_str(rows[i].name)))
			fail_msg("row %zu", i);
		/* qsort() may swap two lines of the same name. */
		if (fault.line != rows[i].line && !(i == 8 && fault.line == 1))
			fail_msg("row %zu: line %u", i, fault.line);
	}
}

TEST(weak_forms_are_reported)
{
	struct htpasswd users;
	struct htpasswd_fault fault, weak;

	for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
		char line[256];
		bool want = i == 1 || i == 2 || i == 15 || i == 16;

		snprintf(line, sizeof(line), "alice:%s", hashes[i]);
		assert_int_equal(htpasswd_parse(&arena, span_str(line), &users, &fault, &weak), 0);
		assert_int_equal(weak.what != NULL, want);
	}
}
