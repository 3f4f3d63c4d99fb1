/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/alloc.h"
#include "tests/lib/guard.h"
#include "tests/unit/tls_play.h"
#include "user/base/check.h"

static int load(struct span cert, struct span key, struct tls_fault *fault)
{
	struct tls_identity *identity;
	int error = tls_identity_load(cert, key, &play.arena, &identity, fault);

	if (!error)
		tls_identity_free(identity);
	return error;
}

static void assert_bad(struct span cert, struct span key, const char *want)
{
	struct tls_fault fault;

	assert_int_equal(load(cert, key, &fault), -EINVAL);
	assert_string_equal(fault.text, want);
}

static void assert_good(struct span cert, struct span key)
{
	struct tls_fault fault;

	if (load(cert, key, &fault))
		fail_msg("%s", fault.text);
}

TLS_PLAY_TEST(keys_of_every_kind_are_taken)
{
	static const struct {
		enum pki_key key;
		const char *text;
	} rows[] = { { PKI_EC, "EC prime256v1" }, { PKI_RSA, "RSA 2048" }, { PKI_ED25519, "ED25519" } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pki pki = PKI(.name = "x", .key = rows[i].key);
		struct tls_identity *identity = tls_play_identity(&play, &pki);

		assert_true(span_eq(identity->certificate.key, span_str(rows[i].text)));
		tls_identity_free(identity);
		pki_free(&pki);
	}
}

TLS_PLAY_TEST(weak_and_unusual_keys_are_refused)
{
	struct pki weak = PKI(.name = "x", .key = PKI_RSA_WEAK);
	struct pki odd = PKI(.name = "x", .key = PKI_EC_K256);

	assert_bad(weak.cert_pem, weak.key_pem, "the key is RSA with 1024 bits: 2048 are the least");
	assert_bad(odd.cert_pem, odd.key_pem,
		   "the key is of the curve secp256k1: make one of P-256, P-384 or P-521");
	pki_free(&weak);
	pki_free(&odd);
}

TLS_PLAY_TEST(what_may_be_shown_is_what_the_certificate_says)
{
	const struct tls_certificate *c = &play.identity->certificate;
	static const char *const names[] = { "a.example", "*.b.example", "127.0.0.1", "::1" };
	unsigned char digest[32];
	char fingerprint[3 * 32 + 1];
	struct tm tm;

	assert_true(span_eq(c->subject, SPAN("CN=server")));
	assert_true(span_eq(c->issuer, SPAN("CN=authority")));
	assert_int_equal(c->serial.len, 4);
	assert_int_equal(c->name_count, ARRAY_LEN(names));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_true(span_eq(c->name_list[i], span_str(names[i])));
	assert_int_equal(c->uri_count, 1);
	assert_true(span_eq(c->uri_list[0], SPAN("spiffe://a/b")));
	assert_int_equal(X509_digest(play.server.x509, EVP_sha256(), digest, NULL), 1);
	for (int i = 0; i < 32; i++)
		snprintf(fingerprint + 3 * i, 4, "%02X:", digest[i]);
	assert_true(span_eq(c->fingerprint, span_of(fingerprint, 95)));
	assert_int_equal(ASN1_TIME_to_tm(X509_get0_notAfter(play.server.x509), &tm), 1);
	assert_int_equal(c->not_after_s, timegm(&tm));
	assert_int_equal(ASN1_TIME_to_tm(X509_get0_notBefore(play.server.x509), &tm), 1);
	assert_int_equal(c->not_before_s, timegm(&tm));
}

TLS_PLAY_TEST(names_are_in_lower_case_and_bytes_of_no_name_are_escaped)
{
	struct pki pki = PKI(.name = "X\x7f", .san = "DNS:A.Example,DNS:b\x02\"c");
	struct tls_identity *identity = tls_play_identity(&play, &pki);

	assert_true(span_eq(identity->certificate.name_list[0], SPAN("a.example")));
	assert_true(span_eq(identity->certificate.name_list[1], SPAN("b\\x02\\\"c")));
	for (size_t i = 0; i < identity->certificate.subject.len; i++)
		assert_in_range(identity->certificate.subject.data[i], 0x20, 0x7e);
	tls_identity_free(identity);
	pki_free(&pki);
}

TLS_PLAY_TEST(an_expired_certificate_is_loaded)
{
	struct pki old = PKI(.name = "old", .from_s = -2 * PKI_DAY_S, .until_s = -PKI_DAY_S);

	assert_good(old.cert_pem, old.key_pem);
	pki_free(&old);
}

TLS_PLAY_TEST(a_mistake_is_told_with_what_to_write_instead)
{
	struct pki other = PKI(.name = "other");
	const struct pki *mine = &play.server;
	struct span encrypted = pki_key_pem(mine->key, "secret");
	unsigned char *der = NULL;
	int der_len = i2d_X509(mine->x509, &der);
	struct span der_text = span_of(der, (size_t)der_len);

	assert_bad(SPAN(""), mine->key_pem, "the text of the certificate is empty");
	assert_bad(SPAN("  \n"), mine->key_pem,
		   "no certificate in the text: write PEM, which begins with -----BEGIN CERTIFICATE-----");
	assert_bad(SPAN("hello"), mine->key_pem,
		   "no certificate in the text: write PEM, which begins with -----BEGIN CERTIFICATE-----");
	assert_bad(mine->key_pem, mine->cert_pem,
		   "found a private key instead of a certificate: are certificate and key swapped?");
	assert_bad(der_text, mine->key_pem,
		   "the certificate is DER: write PEM (openssl x509 -inform DER -in FILE)");
	assert_bad(SPAN("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"),
		   mine->key_pem,
		   "this is a certificate request: write the certificate that an authority issued for it");
	assert_bad(mine->cert_pem, SPAN(""), "the text of the key is empty");
	assert_bad(mine->cert_pem, mine->cert_pem,
		   "found a certificate instead of the key: are certificate and key swapped?");
	assert_bad(mine->cert_pem, der_text, "the key is DER: write PEM (openssl pkey -inform DER -in FILE)");
	assert_bad(mine->cert_pem, encrypted,
		   "the key is encrypted: decrypt it with openssl pkey -in FILE -out FILE");
	assert_bad(mine->cert_pem, SPAN("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
		   "the key cannot be read: it is damaged, or of a kind that this library does not know");
	assert_bad(mine->cert_pem, SPAN("key"),
		   "no key in the text: write PEM, which begins with -----BEGIN PRIVATE KEY-----");
	assert_bad(mine->cert_pem, other.key_pem, "the key is not that of the certificate");
	OPENSSL_free(der);
	free((char *)encrypted.data);
	pki_free(&other);
}

TLS_PLAY_TEST(a_chain_is_in_order)
{
	struct pki middle = PKI(.name = "middle", .issuer = &play.authority, .is_authority = true);
	struct pki end = PKI(.name = "end", .issuer = &middle);
	struct span none = SPAN("");

	assert_good(pki_join(end.cert_pem, middle.cert_pem, play.authority.cert_pem), end.key_pem);
	assert_good(pki_join(end.cert_pem, middle.cert_pem, end.key_pem), end.key_pem);
	assert_good(end.cert_pem, pki_join(end.cert_pem, end.key_pem, none));
	assert_bad(pki_join(middle.cert_pem, end.cert_pem, none), end.key_pem,
		   "the key belongs to certificate 2 of the text: write that one first");
	assert_bad(pki_join(end.cert_pem, play.authority.cert_pem, middle.cert_pem), end.key_pem,
		   "certificate 2 of the text did not issue certificate 1: write the certificate first, then "
		   "its "
		   "issuer, then the issuer of that");
	assert_bad(pki_join(end.cert_pem, middle.cert_pem,
			    SPAN("-----BEGIN CERTIFICATE-----\nAAAA\n"
				 "-----END CERTIFICATE-----\n")),
		   end.key_pem, "certificate 3 of the text cannot be read: wrong tag");
	pki_free(&middle);
	pki_free(&end);
}

TLS_PLAY_TEST(keys_of_every_form_are_taken)
{
	struct pki rsa = PKI(.name = "x", .key = PKI_RSA);
	const struct pki *list[] = { &play.server, &rsa };
	struct span text;
	BIO *bio;

	/* PKCS #8 is that of all other tests; here the forms of old, behind parameters and words. */
	for (size_t i = 0; i < ARRAY_LEN(list); i++) {
		bio = BIO_new(BIO_s_mem());
		assert_int_equal(
			PEM_write_bio_PrivateKey_traditional(bio, list[i]->key, NULL, NULL, 0, NULL, NULL),
			1);
		text = pki_text(bio);
		assert_good(list[i]->cert_pem, text);
		assert_good(list[i]->cert_pem, pki_join(SPAN("words\n-----BEGIN EC "
							     "PARAMETERS-----\nBggqhkjOPQMBBw==\n"
							     "-----END EC PARAMETERS-----\n"),
							text, list[i]->cert_pem));
		free((char *)text.data);
	}
	pki_free(&rsa);
}

TLS_PLAY_TEST(every_prefix_of_the_texts_is_read_or_refused)
{
	struct guard guard;
	struct tls_fault fault;
	struct tls_trust *trust;

	guard_init(&guard, PKI_TEXT_BYTES);
	for (size_t len = 0; len < play.server.cert_pem.len; len++) {
		struct span part = span_of(guard_end(&guard, play.server.cert_pem.data, len), len);
		int error = load(part, play.server.key_pem, &fault);

		/* Without the last line break it is whole. */
		assert_int_equal(error, len + 1 < play.server.cert_pem.len ? -EINVAL : 0);
		error = tls_trust_load(part, &play.arena, &trust, &fault);
		if (!error)
			tls_trust_free(trust);
		assert_int_equal(error, len + 1 < play.server.cert_pem.len ? -EINVAL : 0);
	}
	for (size_t len = 0; len < play.server.key_pem.len; len++) {
		struct span part = span_of(guard_end(&guard, play.server.key_pem.data, len), len);
		int error = load(play.server.cert_pem, part, &fault);

		assert_int_equal(error, len + 1 < play.server.key_pem.len ? -EINVAL : 0);
	}
	guard_done(&guard);
}

TLS_PLAY_TEST(authorities_in_one_text_are_one_trust)
{
	struct pki other = PKI(.name = "other", .is_authority = true);
	struct tls_trust *both, *again, *one;
	struct tls_fault fault;

	assert_int_equal(tls_trust_load(pki_join(play.authority.cert_pem, other.cert_pem, other.cert_pem),
					&play.arena, &both, &fault),
			 0);
	assert_int_equal(both->certificate_count, 2);
	assert_false(both->is_system);
	assert_true(span_eq(both->certificate_list[1].subject, SPAN("CN=other")));
	assert_int_equal(tls_trust_load(pki_join(play.authority.cert_pem, other.cert_pem, SPAN("")),
					&play.arena, &again, &fault),
			 0);
	one = tls_play_trust(&play, &other);
	assert_int_equal(both->hash, again->hash);
	assert_int_not_equal(both->hash, one->hash);
	assert_int_not_equal(one->hash, 0);
	assert_int_equal(tls_trust_load(SPAN("x"), &play.arena, &one, &fault), -EINVAL);
	tls_trust_free(both);
	tls_trust_free(again);
	tls_trust_free(one);
	pki_free(&other);
}

/* ---- the authorities of the host ---- */

static void write_file(const char *path, struct span text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text.data, text.len), text.len);
	close(fd);
}

TLS_PLAY_TEST(the_authorities_of_the_host_are_those_of_its_file_and_directory)
{
	struct pki other = PKI(.name = "other", .is_authority = true);
	char directory[] = "/tmp/headgate-trust-XXXXXX";
	char file[64], hashed[64];
	struct tls_trust *trust;
	struct tls_fault fault;

	assert_non_null(mkdtemp(directory));
	snprintf(file, sizeof(file), "%s/file.pem", directory);
	snprintf(hashed, sizeof(hashed), "%s/0123abcd.0", directory);
	setenv("SSL_CERT_FILE", file, 1);
	setenv("SSL_CERT_DIR", directory, 1);
	assert_int_equal(tls_trust_load_system(&play.arena, &trust, &fault), -EINVAL);
	assert_non_null(strstr(fault.text, "the host trusts no authority"));
	write_file(file, other.cert_pem);
	write_file(hashed, play.authority.cert_pem);
	assert_int_equal(tls_trust_load_system(&play.arena, &trust, &fault), 0);
	assert_true(trust->is_system);
	assert_int_equal(trust->certificate_count, 0);
	assert_int_not_equal(trust->hash, 0);
	play.client_settings.trust = trust;
	tls_play_meet(&play, "a.example", NULL);
	tls_assert_talk(&play);
	unlink(hashed);
	unlink(file);
	rmdir(directory);
	unsetenv("SSL_CERT_FILE");
	unsetenv("SSL_CERT_DIR");
	tls_trust_free(trust);
	pki_free(&other);
}

/* ---- memory ---- */

static int load_all(void *context)
{
	struct tls_identity *identity = NULL;
	struct tls_trust *trust = NULL;
	struct tls_fault fault;
	struct arena arena;
	int error;

	(void)context;
	arena_init(&arena, 64);
	error = tls_identity_load(play.server.cert_pem, play.server.key_pem, &arena, &identity, &fault);
	if (!error)
		error = tls_trust_load(play.authority.cert_pem, &arena, &trust, &fault);
	if (!error)
		tls_trust_free(trust);
	if (identity)
		tls_identity_free(identity);
	arena_done(&arena);
	return error;
}

TLS_PLAY_TEST(each_allocation_of_a_load_may_fail)
{
	assert_true(alloc_fail_each(load_all, NULL) > 10);
}

TEST(what_is_wiped_is_gone)
{
	char secret[] = "secret";

	tls_wipe(secret, sizeof(secret));
	for (size_t i = 0; i < sizeof(secret); i++)
		assert_int_equal(secret[i], 0);
	tls_wipe(NULL, 0);
}

TEST(a_process_with_keys_cannot_be_dumped)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		tls_forbid_dumps();
		_exit(prctl(PR_GET_DUMPABLE) == 0 && open("/proc/self/statm", O_RDONLY) >= 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}
