/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/not_yet.h"
#include "config/core/errors.h"
#include "config/model.h"
#include "config/core/yaml_node.h"

/*
 * From nodes to values. Every function that returns bool reports what is wrong, leaves its output alone, and
 * returns false; false for a node of NULL is silent, so that optional keys read as one line:
 *
 *	decode_bool(d, decode_get(node, "via"), &config->via);
 *
 * Decoding goes on after an error: all errors of a file are shown at once. Lack of memory sets d->failed, and
 * the load ends with -ENOMEM whatever else was found.
 */
struct tls_files; /* config/core/tls_files.h */

struct decoder {
	struct arena *arena; /* borrowed from the snapshot under construction: all results */
	struct config_report *report;
	bool is_manifest; /* Kubernetes: durations by GEP-2257 */
	struct tls_files *files; /* borrowed */
	void *style; /* borrowed: struct standalone, where such a file is read */
	/* Unknown keys of the map that is decoded are warnings where this says so of one; NULL: errors. */
	bool (*unknown_is_harmless)(struct span key);
	bool failed;
	uint64_t selections; /* what selectors have looked at so far: manifest_select() */
};

/* A key that a map may have. */
struct decode_key {
	const char *name;
	const char *refusal; /* NULL: understood; otherwise the sentence that says why not and what to write
				instead */
	bool is_warning; /* the object works without it */
};
/* clang-format off */
#define KEY(key) { key, NULL, false }
#define KEY_REFUSED(key, why) { key, why, false }
#define KEY_IGNORED(key, why) { key, why, true }
/* clang-format on */

/* Zeroed memory of the snapshot, or NULL with d->failed set. */
void *decode_take(struct decoder *d, size_t count, size_t size_bytes);
/* printf into the snapshot; { NULL, 0 } with d->failed set. */
struct span decode_text(struct decoder *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct span decode_lower(struct decoder *d, struct span s); /* ASCII letters */

/* A map with no other than these keys. Unknown and refused keys are reported and do not make it false. */
bool decode_map(struct decoder *d, const struct yaml_node *node, const struct decode_key *key_list,
		size_t key_count);
#define DECODE_MAP(d, node, keys) decode_map(d, node, keys, ARRAY_LEN(keys))
bool decode_any_map(struct decoder *d, const struct yaml_node *node); /* any keys */
bool decode_list(struct decoder *d, const struct yaml_node *node);
/* Member of a map; NULL when it is missing or null, or when `map` is NULL or no map. */
const struct yaml_node *decode_get(const struct yaml_node *map, const char *key);
/* The same, but missing is an error: "`key` is missing; `advice`". */
const struct yaml_node *decode_need(struct decoder *d, const struct yaml_node *map, const char *key,
				    const char *advice);
/* The one member out of `names` that is set; none or several is an error. */
const struct yaml_node *decode_choice(struct decoder *d, const struct yaml_node *map,
				      const char *const *names, size_t name_count, unsigned *ret_index);

/* A text: borrowed from the node tree, so keep it with decode_keep(). Numbers, true and false need quotes. */
bool decode_string(struct decoder *d, const struct yaml_node *node, struct span *ret);
/* A text of at least one byte without control bytes, copied into the snapshot. */
bool decode_name(struct decoder *d, const struct yaml_node *node, struct span *ret);
struct span decode_keep(struct decoder *d, struct span s);
bool decode_bool(struct decoder *d, const struct yaml_node *node, bool *ret);
bool decode_u64(struct decoder *d, const struct yaml_node *node, uint64_t min, uint64_t max, uint64_t *ret);
bool decode_u32(struct decoder *d, const struct yaml_node *node, uint32_t min, uint32_t max, uint32_t *ret);
bool decode_port(struct decoder *d, const struct yaml_node *node, uint16_t *ret); /* 1..65535 */
/* 0.0 to 1.0 as parts per million. */
bool decode_fraction(struct decoder *d, const struct yaml_node *node, uint32_t *ret_per_million);
bool decode_duration(struct decoder *d, const struct yaml_node *node, uint64_t min_ns, uint64_t *ret_ns);
bool decode_opt_duration(struct decoder *d, const struct yaml_node *node, uint64_t min_ns,
			 struct opt_duration *ret);
/* One of a fixed set of words, case-sensitive. */
bool decode_word(struct decoder *d, const struct yaml_node *node, const char *const *words, size_t word_count,
		 unsigned *ret_index);
#define DECODE_WORD(d, node, words, ret) decode_word(d, node, words, ARRAY_LEN(words), ret)

/* For messages. */
const char *decode_found(char out[CONFIG_QUOTE_BYTES],
			 const struct yaml_node *node); /* "a list", "\"abc\"" */
#define FOUND(node) decode_found((char[CONFIG_QUOTE_BYTES]){ 0 }, (node))
