/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/tls/certificate.h"
#include "user/tls/fault.h"

/* Certificates of trusted authorities. Immutable; used by all workers at the same time. */
struct tls_trust {
	struct tls_certificate *certificate_list; /* empty for the system's */
	uint32_t certificate_count;
	uint64_t hash; /* of all certificates */
	bool is_system;
	struct tls_trust_parts *parts; /* owner; OpenSSL's objects */
};

/*
 * Returns 0; -EINVAL with *fault: no certificate in the text, or a malformed one; -ENOMEM. Several PEM texts
 * can be joined to one trust.
 */
int tls_trust_load(struct span ca_pem, struct arena *arena, struct tls_trust **ret_trust,
		   struct tls_fault *fault);
/* The authorities that the host trusts (OpenSSL's default paths). -EINVAL: there are none. */
int tls_trust_load_system(struct arena *arena, struct tls_trust **ret_trust, struct tls_fault *fault);
void tls_trust_free(struct tls_trust *trust);
