/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"
#include "config/model_auth.h"

/* Policies that ask for passwords or API keys, and what policies that ask for credentials have in common. */

extern const struct schema basic_auth_schema; /* struct basic_auth_policy */
extern const struct schema api_key_schema; /* struct api_key_policy */
extern const struct schema credential_location_schema; /* struct credential_location */

/* The words of enum credential_mode. */
#define CREDENTIAL_MODES                                                                                     \
	WORDS("strict", "optional", "permissive"), MANIFEST_WORDS("Strict", "Optional", "Permissive")
#define CREDENTIAL_MODE_DOC                                                                                  \
	"`strict`: a valid one is necessary; `optional`: requests without one pass, too; `permissive`: so "  \
	"do those with an invalid one, which then counts as none"

/* For rows: replaces the default location by the one that is written. */
bool credential_location_decode(struct decoder *d, const struct yaml_node *node, void *location);
/* Authorization, with this prefix, if none was written. */
void credential_location_default(struct credential_location *location, struct span prefix);
/*
 * The default mode: strict in manifests. In standalone files it is optional, with a warning: requests without
 * credentials pass.
 */
void credential_mode_check(struct decoder *d, const struct yaml_node *policy, unsigned *mode);

/* A text that may be secret: no message contains it. Numbers are texts, too. */
bool credential_string(struct decoder *d, const struct yaml_node *node, struct span *ret);

/* A text that is written in place, or the content of the file that `file` names. */
struct credential_text {
	struct span text;
	char *bytes; /* owner, of a file: wiped */
	size_t size;
};
/* False: reported. example: for a message, "write htpasswd: …". */
bool credential_text_read(struct decoder *d, const struct yaml_node *node, const char *example,
			  struct credential_text *ret);
void credential_text_done(struct credential_text *text);

/* Reads users into the policy. False: reported. */
bool basic_auth_read_users(struct decoder *d, const struct yaml_node *node, struct span text,
			   struct basic_auth_policy *policy);
/* What follows from the members: the challenge. */
void basic_auth_finish(struct decoder *d, struct basic_auth_policy *policy);
/* The same for keys: the index and the challenge. `node`: for messages. */
void api_key_finish(struct decoder *d, const struct yaml_node *node, struct api_key_policy *policy);
/* Makes what expressions see of the metadata: a JSON object, or empty. False: reported. */
bool api_key_tree(struct decoder *d, const struct yaml_node *node, struct api_key *key);
/* Hashes a key that is written in clear. False: reported; the message does not contain it. */
bool api_key_from_text(struct decoder *d, const struct yaml_node *node, struct span key, struct api_key *ret);
bool api_key_from_hash(struct decoder *d, const struct yaml_node *node, struct span text,
		       struct api_key *ret);
