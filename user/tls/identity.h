/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/tls/certificate.h"
#include "user/tls/fault.h"

/*
 * A certificate with its chain and its private key. Immutable; used by all workers at the same time. Sessions
 * hold references to the parts that they use, so it may be freed while sessions live.
 */
struct tls_identity {
	struct tls_certificate certificate; /* its texts are in the arena passed to the loader */
	struct tls_identity_parts *parts; /* owner; OpenSSL's objects */
};

/*
 * cert_pem: the certificate, then the chain. key_pem: its unencrypted key. Returns 0; -EINVAL with what to do
 * in *fault: no certificate, no key, an encrypted key, a key of another certificate, a key that is too weak,
 * text that is no PEM; or -ENOMEM. The caller wipes its copies of the key (tls_wipe()).
 */
int tls_identity_load(struct span cert_pem, struct span key_pem, struct arena *arena,
		      struct tls_identity **ret_identity, struct tls_fault *fault);
void tls_identity_free(struct tls_identity *identity);
/* Overwrites memory; the compiler cannot optimize it away. */
void tls_wipe(void *data, size_t len);
/*
 * Prevents core files, and reads by other processes of the same user (PR_SET_DUMPABLE). Call it once a key is
 * loaded; root can still read.
 */
void tls_forbid_dumps(void);
