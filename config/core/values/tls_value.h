/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

/*
 * TLS as rows: `tls` of a listener, `frontendPolicies.tls` and `backendTLS`. Their files are read at once
 * (config/core/values/tls_files.h): a file that cannot be used is an error of its key.
 */
extern const struct schema listener_tls_schema; /* struct listener_tls */
extern const struct schema frontend_tls_schema; /* struct frontend_tls */
extern const struct schema backend_tls_schema; /* struct backend_tls */

/* TLS to a backend without settings: uses the authorities of the system. NULL: reported. */
const struct backend_tls *tls_value_default(struct decoder *d, const struct yaml_node *node);

/*
 * Converts the words into *params, which must be empty. `node` has the lists under these keys; errors are
 * reported at the element. False: there was an error.
 */
struct tls_value_keys {
	const char *ciphers;
	const char *groups;
	const char *alpn;
};
bool tls_value_params(struct decoder *d, const struct yaml_node *node, const struct tls_value_keys *keys,
		      const struct tls_words *words, struct tls_params *params);
