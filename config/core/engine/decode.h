/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/not_yet.h"
#include "config/core/engine/errors.h"
#include "config/model.h"
#include "config/core/engine/yaml_node.h"

/*
 * Converts nodes to values. A function that returns bool reports an error, leaves its output unchanged, and
 * returns false; for a NULL node it returns false without a message, so that an optional key takes one line:
 *
 *         decode_bool(d, decode_get(node, "via"), &config->via);
 *
 * Decoding continues after an error, so that all errors of a file are reported at once. Lack of memory sets
 * d->failed, and the load ends with -ENOMEM, whatever other errors there are.
 */
struct tls_files; /* config/core/values/tls_files.h */

struct decoder {
	struct arena *arena; /* borrowed from the snapshot under construction: memory of all results */
	struct config_report *report;
	/* Kubernetes: durations by GEP-2257; keys that are not supported yet are only warnings */
	bool is_manifest;
	/*
	 * Set when a manifest has a key that protects and is not supported yet. NULL: such a key is an error,
	 * because nobody refuses what it should guard.
	 */
	bool *lacks_guard;
	struct tls_files *files; /* borrowed */
	void *style; /* borrowed: struct standalone, for standalone files */
	/* True for unknown keys of the current map that are only warnings; NULL: all are errors. */
	bool (*unknown_is_harmless)(struct span key);
	/* Where a key belongs that a map does not know, as in "under config"; NULL: nowhere. May be NULL. */
	const char *(*place_of)(const struct yaml_node *member);
	bool failed;
	uint64_t selections; /* steps of all selectors so far: manifest_select() */
};

/* A key that a map may have. */
struct decode_key {
	const char *name;
	const char *refusal; /* NULL: supported; otherwise the reason, and what to write instead */
	bool is_warning; /* the object works without it */
};
/* clang-format off */
#define KEY(key) { key, NULL, false }
#define KEY_REFUSED(key, why) { key, why, false }
#define KEY_IGNORED(key, why) { key, why, true }
/* clang-format on */

/* Returns zeroed memory of the snapshot, or NULL and sets d->failed. */
void *decode_take(struct decoder *d, size_t count, size_t size_bytes);
/* Formats into the snapshot; { NULL, 0 } and sets d->failed without memory. */
struct span decode_text(struct decoder *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct span decode_lower(struct decoder *d, struct span s); /* ASCII letters */

/* True for a map. Reports unknown and refused keys, but still returns true. */
bool decode_map(struct decoder *d, const struct yaml_node *node, const struct decode_key *key_list,
		size_t key_count);
#define DECODE_MAP(d, node, keys) decode_map(d, node, keys, ARRAY_LEN(keys))
bool decode_any_map(struct decoder *d, const struct yaml_node *node); /* any keys */
/*
 * Reports that something is missing which a protective policy needs: as an error, or, if the caller refuses
 * the policy's targets (lacks_guard), as a warning that says so.
 */
void decode_lacking(struct decoder *d, const struct yaml_node *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
bool decode_list(struct decoder *d, const struct yaml_node *node);
/* Returns a member of a map; NULL if it is missing or null, or if `map` is NULL or not a map. */
const struct yaml_node *decode_get(const struct yaml_node *map, const char *key);
/* The same, but reports a missing member: "`key` is missing; `advice`". */
const struct yaml_node *decode_need(struct decoder *d, const struct yaml_node *map, const char *key,
				    const char *advice);
/* Returns the one member out of `names` that is set; none or several is an error. */
const struct yaml_node *decode_choice(struct decoder *d, const struct yaml_node *map,
				      const char *const *names, size_t name_count, unsigned *ret_index);

/* A string, borrowed from the node tree: copy it with decode_keep(). Numbers, true and false need quotes. */
bool decode_string(struct decoder *d, const struct yaml_node *node, struct span *ret);
/* A non-empty string without control bytes, copied into the snapshot. */
bool decode_name(struct decoder *d, const struct yaml_node *node, struct span *ret);
/* The same for a text that may have several lines: an expression. */
bool decode_lines(struct decoder *d, const struct yaml_node *node, struct span *ret);
struct span decode_keep(struct decoder *d, struct span s);
bool decode_bool(struct decoder *d, const struct yaml_node *node, bool *ret);
bool decode_u64(struct decoder *d, const struct yaml_node *node, uint64_t min, uint64_t max, uint64_t *ret);
bool decode_u32(struct decoder *d, const struct yaml_node *node, uint32_t min, uint32_t max, uint32_t *ret);
bool decode_port(struct decoder *d, const struct yaml_node *node, uint16_t *ret); /* 1..65535 */
/* 0.0 to 1.0, in parts per million. */
bool decode_fraction(struct decoder *d, const struct yaml_node *node, uint32_t *ret_per_million);
bool decode_duration(struct decoder *d, const struct yaml_node *node, uint64_t min_ns, uint64_t *ret_ns);
bool decode_opt_duration(struct decoder *d, const struct yaml_node *node, uint64_t min_ns,
			 struct opt_duration *ret);
/* One of a fixed set of words, case-sensitive. */
bool decode_word(struct decoder *d, const struct yaml_node *node, const char *const *words, size_t word_count,
		 unsigned *ret_index);
#define DECODE_WORD(d, node, words, ret) decode_word(d, node, words, ARRAY_LEN(words), ret)

/* Describes a node for messages. */
const char *decode_found(char out[CONFIG_QUOTE_BYTES],
			 const struct yaml_node *node); /* "a list", "\"abc\"" */
#define FOUND(node) decode_found((char[CONFIG_QUOTE_BYTES]){ 0 }, (node))
