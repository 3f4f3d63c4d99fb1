/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/engine/typo.h"

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;

	return least < c ? least : c;
}

enum {
	SUGGEST_BYTES = 48, /* longer words are not compared */
};

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Insertions, deletions, replacements and swaps of neighbours between two words, ignoring case. */
static unsigned edit_distance(struct span a, struct span b)
{
	unsigned rows[3][SUGGEST_BYTES + 1];

	for (size_t j = 0; j <= b.len; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a.len; i++) {
		unsigned *row = rows[i % 3];
		const unsigned *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b.len; j++) {
			char x = lower(a.data[i - 1]), y = lower(b.data[j - 1]);

			row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == lower(b.data[j - 2]) && lower(a.data[i - 2]) == y)
				row[j] = min3(row[j], row[j], above2[j - 2] + 1);
		}
	}
	return rows[a.len % 3][b.len];
}

/* "front" for "frontend", "retryPolicy" for "retry". */
static bool is_shortened(struct span word, struct span name)
{
	size_t len = word.len < name.len ? word.len : name.len;

	return len >= 4 && span_eq_nocase(span_first(word, len), span_first(name, len));
}

/* "prefix" for "pathPrefix", "idleTimeout" for "http1IdleTimeout". */
static bool is_part(struct span word, struct span name)
{
	for (size_t at = 0; word.len >= 5 && at + word.len <= name.len; at++)
		if (span_eq_nocase(span_of(name.data + at, word.len), word))
			return true;
	return false;
}

/* The maximum distance for a word: in short words every letter counts. */
static unsigned most_distance(struct span word)
{
	unsigned most = (unsigned)(word.len / 3) + 1;

	return word.len <= 4 ? 1 : most > 3 ? 3 : most;
}

const char *typo_meant(struct span word, const char *const *names, size_t name_count)
{
	const char *best = NULL, *part = NULL, *shortened = NULL;
	unsigned best_distance = most_distance(word);

	if (word.len > SUGGEST_BYTES)
		return NULL;
	for (size_t i = 0; i < name_count; i++) {
		struct span name = span_str(names[i]);
		unsigned distance;

		if (name.len > SUGGEST_BYTES)
			continue;
		if (!shortened && is_shortened(word, name))
			shortened = names[i];
		if (!part && is_part(word, name))
			part = names[i];
		distance = edit_distance(word, name);
		if (distance < best_distance || (distance == best_distance && !best && distance < word.len)) {
			best = names[i];
			best_distance = distance;
		}
	}
	if (part && best_distance > 1)
		best = part;
	return best ? best : shortened;
}

bool typo_is_of(struct span word, const char *name)
{
	struct span right = span_str(name);
	size_t far = word.len > right.len ? word.len - right.len : right.len - word.len;

	return far <= 2 && word.len >= 4 && word.len <= SUGGEST_BYTES && right.len <= SUGGEST_BYTES &&
	       lower(word.data[0]) == lower(right.data[0]) && edit_distance(word, right) <= 2;
}
