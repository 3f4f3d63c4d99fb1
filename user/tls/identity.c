/* SPDX-License-Identifier: Apache-2.0 */
#include "user/tls/identity.h"

#include <errno.h>
#include <pthread.h>
#include <sys/prctl.h>

#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "user/base/mem.h"
#include "user/tls/parts.h"

enum { RSA_MIN_BITS = 2048 };

static int note_passphrase(char *buf, int size, int is_written, void *context)
{
	(void)buf, (void)size, (void)is_written;
	*(bool *)context = true;
	return -1;
}

static void explain_no_key(struct span text, bool is_encrypted, struct tls_fault *fault)
{
	if (is_encrypted)
		tls_fault_set(fault, "the key is encrypted: decrypt it with openssl pkey -in FILE -out FILE");
	else if (span_trim(text).len == 0)
		tls_fault_set(fault, "the text of the key is empty");
	else if (text.data[0] == 0x30)
		tls_fault_set(fault, "the key is DER: write PEM (openssl pkey -inform DER -in FILE)");
	else if (tls_has_block(text, "PRIVATE KEY-----"))
		tls_fault_set(fault, "the key cannot be read: it is damaged, or of a kind that this library "
				     "does not know");
	else if (tls_has_block(text, "-----BEGIN CERTIFICATE"))
		tls_fault_set(fault, "found a certificate instead of the key: are certificate and key "
				     "swapped?");
	else
		tls_fault_set(fault, "no key in the text: write PEM, which begins with -----BEGIN PRIVATE "
				     "KEY-----");
}

/* The text from the line of the first private key on; empty if there is none. */
static struct span key_block(struct span pem)
{
	const char *mark = memmem(pem.data, pem.len, "PRIVATE KEY-----", strlen("PRIVATE KEY-----"));
	const char *begin = mark ? memrchr(pem.data, '\n', (size_t)(mark - pem.data)) : NULL;

	if (!mark)
		return (struct span){ 0 };
	return begin ? span_from(pem, (size_t)(begin + 1 - pem.data)) : pem;
}

/*
 * Uses one decoder for all keys: PEM_read_bio_PrivateKey() makes a new one in each call, which takes ten
 * times as long as using it (OpenSSL 3.0: 450 us). NULL: let the library try again, to get its error.
 */
static EVP_PKEY *read_key_fast(struct span pem)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static OSSL_DECODER_CTX *decoder; /* lives as long as the process */
	static EVP_PKEY *decoded; /* where the decoder stores its result */
	struct span block = key_block(pem);
	const unsigned char *data = (const unsigned char *)block.data;
	EVP_PKEY *key = NULL;

	if (block.len == 0)
		return NULL;
	pthread_mutex_lock(&lock);
	if (!decoder) {
		decoder = OSSL_DECODER_CTX_new_for_pkey(&decoded, "PEM", NULL, NULL, EVP_PKEY_KEYPAIR, NULL,
							NULL);
		if (decoder)
			OSSL_DECODER_CTX_set_pem_password_cb(decoder, tls_no_passphrase, NULL);
	}
	if (decoder && OSSL_DECODER_from_data(decoder, &data, &block.len))
		key = decoded;
	else
		EVP_PKEY_free(decoded);
	decoded = NULL;
	pthread_mutex_unlock(&lock);
	ERR_clear_error();
	return key;
}

static int read_key(struct span pem, EVP_PKEY **ret_key, struct tls_fault *fault)
{
	BIO *bio;
	bool is_encrypted = false;

	*ret_key = read_key_fast(pem);
	if (*ret_key)
		return 0;
	bio = pem.len <= INT_MAX ? BIO_new_mem_buf(pem.len ? pem.data : "", (int)pem.len) : NULL;
	if (!bio)
		return -ENOMEM;
	ERR_clear_error();
	*ret_key = PEM_read_bio_PrivateKey(bio, NULL, note_passphrase, &is_encrypted);
	BIO_free(bio);
	ERR_clear_error();
	if (*ret_key)
		return 0;
	explain_no_key(pem, is_encrypted, fault);
	return -EINVAL;
}

static bool key_is_strong(const EVP_PKEY *key, struct tls_fault *fault)
{
	char group[64] = "";

	if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS")) {
		if (EVP_PKEY_get_bits(key) >= RSA_MIN_BITS)
			return true;
		tls_fault_set(fault, "the key is RSA with %d bits: %d are the least", EVP_PKEY_get_bits(key),
			      RSA_MIN_BITS);
		return false;
	}
	if (EVP_PKEY_is_a(key, "ED25519"))
		return true;
	if (EVP_PKEY_is_a(key, "EC")) {
		EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
		if (!strcmp(group, "prime256v1") || !strcmp(group, "secp384r1") ||
		    !strcmp(group, "secp521r1"))
			return true;
		tls_fault_set(fault, "the key is of the curve %s: make one of P-256, P-384 or P-521", group);
		return false;
	}
	tls_fault_set(fault, "the key is of kind %s: make one of RSA, EC (P-256, P-384, P-521) or Ed25519",
		      EVP_PKEY_get0_type_name(key));
	return false;
}

/* Checks that certificate and key belong together; otherwise the fault says what they look like. */
static bool check_pair(const struct tls_identity_parts *parts, struct tls_fault *fault)
{
	bool is_pair = X509_check_private_key(parts->x509, parts->key) == 1;
	int at = 0;

	while (!is_pair && at < sk_X509_num(parts->chain) &&
	       X509_check_private_key(sk_X509_value(parts->chain, at), parts->key) != 1)
		at++;
	if (!is_pair && at < sk_X509_num(parts->chain))
		tls_fault_set(fault, "the key belongs to certificate %d of the text: write that one first",
			      at + 2);
	else if (!is_pair)
		tls_fault_set(fault, "the key is not that of the certificate");
	ERR_clear_error();
	return is_pair;
}

/* Checks that each certificate was issued by the next one. */
static bool check_chain(const struct tls_identity_parts *parts, struct tls_fault *fault)
{
	X509 *issued = parts->x509;

	for (int i = 0; i < sk_X509_num(parts->chain); i++) {
		X509 *issuer = sk_X509_value(parts->chain, i);

		if (X509_check_issued(issuer, issued) != X509_V_OK) {
			tls_fault_set(fault,
				      "certificate %d of the text did not issue certificate %d: write the"
				      " certificate first, then its issuer, then the issuer of that",
				      i + 2, i + 1);
			return false;
		}
		issued = issuer;
	}
	return true;
}

/* What the library would refuse in a handshake (weak signatures, ...) is an error of the configuration. */
static int check_use(const struct tls_identity_parts *parts, struct tls_fault *fault)
{
	SSL *ssl = tls_probe();
	unsigned long code;
	bool is_valid;

	if (!ssl)
		return -ENOMEM;
	is_valid = SSL_use_cert_and_key(ssl, parts->x509, parts->key, parts->chain, 1) == 1;
	code = ERR_peek_error();
	SSL_free(ssl);
	ERR_clear_error();
	if (is_valid)
		return 0;
	if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
		return -ENOMEM;
	tls_fault_set(fault, "the library refuses the certificate: %s", ERR_reason_error_string(code));
	return -EINVAL;
}

static int load_parts(struct span cert_pem, struct span key_pem, struct tls_identity_parts *parts,
		      struct tls_fault *fault)
{
	int error = tls_read_certificates(cert_pem, TLS_CHAIN_MAX, &parts->chain, fault);

	if (error)
		return error;
	parts->x509 = sk_X509_shift(parts->chain);
	error = read_key(key_pem, &parts->key, fault);
	if (error)
		return error;
	if (!key_is_strong(parts->key, fault) || !check_pair(parts, fault) || !check_chain(parts, fault))
		return -EINVAL;
	return check_use(parts, fault);
}

int tls_identity_load(struct span cert_pem, struct span key_pem, struct arena *arena,
		      struct tls_identity **ret_identity, struct tls_fault *fault)
{
	struct tls_identity *identity = hg_calloc(1, sizeof(*identity));
	int error = -ENOMEM;

	*fault = (struct tls_fault){ 0 };
	if (!identity)
		return -ENOMEM;
	identity->parts = hg_calloc(1, sizeof(*identity->parts));
	if (identity->parts)
		error = load_parts(cert_pem, key_pem, identity->parts, fault);
	if (!error)
		error = tls_certificate_describe(identity->parts->x509, arena, &identity->certificate);
	if (error)
		tls_identity_free(identity);
	else
		*ret_identity = identity;
	return error;
}

void tls_identity_free(struct tls_identity *identity)
{
	if (identity && identity->parts) {
		X509_free(identity->parts->x509);
		sk_X509_pop_free(identity->parts->chain, X509_free);
		EVP_PKEY_free(identity->parts->key);
		hg_free(identity->parts);
	}
	hg_free(identity);
}

void tls_wipe(void *data, size_t len)
{
	if (len)
		OPENSSL_cleanse(data, len);
}

void tls_forbid_dumps(void)
{
	prctl(PR_SET_DUMPABLE, 0);
}
