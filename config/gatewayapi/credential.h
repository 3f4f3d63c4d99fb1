/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"
#include "user/tls/identity.h"
#include "user/tls/trust.h"

/*
 * Certificates with keys from Secrets, and authorities from ConfigMaps or Secrets. An object is read once,
 * however many places refer to it. What is in a Secret is in no message: they name the object and say what
 * is wrong with it.
 */

/* A place that refers to such objects. */
struct credential_place {
	const struct manifest_object *from;
	bool is_local; /* objects of its own namespace only */
	/* Words of the conditions of Gateway API, which begin the sentences. */
	const char *invalid; /* "InvalidCertificateRef" */
	const char *invalid_kind;
	const char *effect; /* of a reference that cannot be used: "…; `effect`" */
};

/*
 * `node` is one reference. NULL: a warning there says why, and so does *ret_why. In place of a pair that
 * cannot be used the one that the snapshot in force has from the same object is given, and warned about.
 * *ret_source names the object as the dump shows it.
 */
const struct tls_identity *credential_identity(struct manifests *m, const struct yaml_node *node,
					       const struct credential_place *place, struct span *ret_source,
					       struct span *ret_why);
/*
 * `list` is one of references, to ConfigMaps where they do not say it, all of which are one trust: those that
 * can be used. NULL: none can. Each that cannot is warned about.
 */
const struct tls_trust *credential_trust(struct manifests *m, const struct yaml_node *list,
					 const struct credential_place *place, struct span *ret_source,
					 struct span *ret_why);
/* `ca.crt` of a Secret that is referred to for its certificate; NULL without *ret_why: it has none. */
const struct tls_trust *credential_own_trust(struct manifests *m, const struct yaml_node *node,
					     const struct credential_place *place, struct span *ret_why);
void credentials_done(struct manifests *m);
