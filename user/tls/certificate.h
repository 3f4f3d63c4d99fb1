/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "user/base/arena.h"
#include "user/base/span.h"

/* What may be shown of a certificate. Texts are printable ASCII; other bytes are escaped. */
struct tls_certificate {
	struct span subject; /* RFC 2253 */
	struct span issuer;
	struct span serial; /* hex */
	struct span fingerprint; /* SHA-256, hex with colons */
	struct span key; /* "RSA 2048", "EC prime256v1", "ED25519" */
	struct span *name_list; /* subjectAltName: DNS names in lower case, and addresses */
	uint32_t name_count;
	struct span *uri_list; /* subjectAltName: URIs */
	uint32_t uri_count;
	int64_t not_before_s; /* since the epoch */
	int64_t not_after_s;
};

struct x509_st; /* OpenSSL's X509 */

/* Returns 0 or -ENOMEM. All texts are in the arena. */
int tls_certificate_describe(struct x509_st *x509, struct arena *arena, struct tls_certificate *ret);
/*
 * The last CN of the subject, in UTF-8, not escaped; empty: none, or one with a NUL, which readers in C would
 * take for a shorter name. 0 or -ENOMEM.
 */
int tls_certificate_common_name(const struct x509_st *x509, struct arena *arena, struct span *ret);
