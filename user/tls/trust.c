/* SPDX-License-Identifier: Apache-2.0 */
#include "user/tls/trust.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "user/base/hash.h"
#include "user/base/mem.h"
#include "user/tls/parts.h"

enum {
	TRUST_MAX = 4096, /* authorities in one trust */
	TRUST_FILE_BYTES = 16 * 1024 * 1024,
	TRUST_FILES = 4096, /* read from the system's directory */
};

static bool trust_has(const struct tls_trust_parts *parts, const X509 *x509)
{
	for (int i = 0; i < sk_X509_num(parts->list); i++)
		if (X509_cmp(sk_X509_value(parts->list, i), x509) == 0)
			return true;
	return false;
}

/* Moves the certificates that are new. */
static int trust_join(struct tls_trust_parts *parts, STACK_OF(X509) * list)
{
	X509 *x509;
	int error = 0;

	while (!error && (x509 = sk_X509_shift(list))) {
		if (sk_X509_num(parts->list) >= TRUST_MAX || trust_has(parts, x509))
			X509_free(x509);
		else if (!sk_X509_push(parts->list, x509)) {
			X509_free(x509);
			error = -ENOMEM;
		}
	}
	sk_X509_pop_free(list, X509_free);
	return error;
}

static uint64_t trust_hash(const struct tls_trust *trust)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	uint64_t hash = 0;
	unsigned int len;

	for (int i = 0; i < sk_X509_num(trust->parts->list); i++) {
		if (!X509_digest(sk_X509_value(trust->parts->list, i), EVP_sha256(), digest, &len))
			return 0;
		hash = hash_mix(hash, hash_bytes(span_of(digest, len)));
	}
	return hash ? hash : 1;
}

static int trust_describe(struct tls_trust *trust, struct arena *arena)
{
	size_t count = (size_t)sk_X509_num(trust->parts->list);
	int error = 0;

	trust->certificate_list = arena_take(arena, count * sizeof(*trust->certificate_list));
	if (!trust->certificate_list)
		return -ENOMEM;
	for (size_t i = 0; i < count && !error; i++)
		error = tls_certificate_describe(sk_X509_value(trust->parts->list, (int)i), arena,
						 &trust->certificate_list[i]);
	trust->certificate_count = (uint32_t)count;
	return error;
}

static struct tls_trust *trust_new(void)
{
	struct tls_trust *trust = hg_calloc(1, sizeof(*trust));

	if (trust)
		trust->parts = hg_calloc(1, sizeof(*trust->parts));
	if (trust && trust->parts)
		trust->parts->list = sk_X509_new_null();
	if (trust && trust->parts && trust->parts->list)
		return trust;
	tls_trust_free(trust);
	return NULL;
}

int tls_trust_load(struct span ca_pem, struct arena *arena, struct tls_trust **ret_trust,
		   struct tls_fault *fault)
{
	struct tls_trust *trust = trust_new();
	STACK_OF(X509) * list;
	int error;

	*fault = (struct tls_fault){ 0 };
	if (!trust)
		return -ENOMEM;
	error = tls_read_certificates(ca_pem, TRUST_MAX, &list, fault);
	if (!error)
		error = trust_join(trust->parts, list);
	if (!error)
		error = trust_describe(trust, arena);
	if (!error && !(trust->hash = trust_hash(trust)))
		error = -ENOMEM;
	if (error)
		tls_trust_free(trust);
	else
		*ret_trust = trust;
	return error;
}

/* A missing file, or one without certificates, adds none. text: room for TRUST_FILE_BYTES */
static int system_file(struct tls_trust *trust, const char *path, char *text)
{
	struct tls_fault fault;
	STACK_OF(X509) * list;
	FILE *file = fopen(path, "re");
	size_t len;
	int error;

	if (!file)
		return 0;
	len = fread(text, 1, TRUST_FILE_BYTES, file);
	fclose(file);
	error = tls_read_certificates(span_of(text, len), TRUST_MAX, &list, &fault);
	if (!error)
		error = trust_join(trust->parts, list);
	return error == -EINVAL ? 0 : error;
}

/* "1a2b3c4d.0", the format of openssl rehash. */
static bool is_hashed_name(const char *name)
{
	return strlen(name) >= 10 && strspn(name, "0123456789abcdef") == 8 && name[8] == '.' &&
	       strspn(name + 9, "0123456789") == strlen(name + 9);
}

static int system_directory(struct tls_trust *trust, const char *path, char *text)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	char file[4096];
	int error = 0;
	int seen = 0;

	while (directory && !error && seen < TRUST_FILES && (entry = readdir(directory))) {
		seen++;
		if (!is_hashed_name(entry->d_name))
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		error = system_file(trust, file, text);
	}
	if (directory)
		closedir(directory);
	return error;
}

static const char *system_path(const char *variable, const char *path)
{
	const char *value = secure_getenv(variable);

	return value && value[0] ? value : path;
}

int tls_trust_load_system(struct arena *arena, struct tls_trust **ret_trust, struct tls_fault *fault)
{
	const char *file = system_path(X509_get_default_cert_file_env(), X509_get_default_cert_file());
	const char *directory = system_path(X509_get_default_cert_dir_env(), X509_get_default_cert_dir());
	struct tls_trust *trust = trust_new();
	/* One for all files: there are hundreds. */
	char *text = trust ? hg_malloc(TRUST_FILE_BYTES) : NULL;
	int error = text ? 0 : -ENOMEM;

	*fault = (struct tls_fault){ 0 };
	if (!trust)
		return -ENOMEM;
	trust->is_system = true;
	if (!error)
		error = system_file(trust, file, text);
	if (!error)
		error = system_directory(trust, directory, text);
	hg_free(text);
	if (!error && sk_X509_num(trust->parts->list) == 0) {
		tls_fault_set(fault,
			      "the host trusts no authority: %s and %s have no certificates"
			      " (Debian: install ca-certificates)",
			      file, directory);
		error = -EINVAL;
	}
	/* certificate_list stays empty (trust.h): 140 of them would not help in a dump. */
	if (!error && !(trust->hash = trust_hash(trust)))
		error = -ENOMEM;
	(void)arena;
	if (error)
		tls_trust_free(trust);
	else
		*ret_trust = trust;
	return error;
}

void tls_trust_free(struct tls_trust *trust)
{
	if (trust && trust->parts) {
		sk_X509_pop_free(trust->parts->list, X509_free);
		hg_free(trust->parts);
	}
	hg_free(trust);
}
