/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/tls/certificate.h"
#include "user/tls/fault.h"

/*
 * A certificate with its chain and its private key. Immutable; used by all workers at the same time. Whoever
 * uses it in a session holds references to the parts, so it may be freed while sessions live.
 */
struct tls_identity {
	struct tls_certificate certificate; /* texts: in the arena given to the loader */
	struct tls_identity_parts *parts; /* owner; OpenSSL's objects */
};

/*
 * cert_pem: the certificate, then the chain. key_pem: an unencrypted key of it. 0; -EINVAL and *fault says
 * what to do: no certificate, no key, an encrypted key, a key of another certificate, a key that is too weak,
 * bytes that are no PEM; -ENOMEM. The caller wipes its texts of the key (tls_wipe()).
 */
int tls_identity_load(struct span cert_pem, struct span key_pem, struct arena *arena,
		      struct tls_identity **ret_identity, struct tls_fault *fault);
void tls_identity_free(struct tls_identity *identity);
/* Overwrites, also where the compiler sees no use of it. */
void tls_wipe(void *data, size_t len);
/*
 * No core file, and no other process of the same user, shows what this one holds (PR_SET_DUMPABLE). Once a
 * key is loaded; root can still look.
 */
void tls_forbid_dumps(void);
