/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/match/match_regex.h"

#include <errno.h>

#include "config/core/engine/errors.h"
#include "user/base/limits.h"
#include "user/base/mem.h"

struct match_regex {
	struct regex_engine *engine; /* owner */
	size_t size; /* instructions */
};

/* Appended to the quoted part of the pattern. Most of these patterns use the syntax of other engines. */
static const char *const fault_texts[] = {
	[REGEX_FAULT_OTHER] = "",
	[REGEX_FAULT_ESCAPE] = "is no escape; write the character itself, \\xHH, or one of \\d \\D \\s \\S "
			       "\\w \\W \\b \\B \\A \\z",
	[REGEX_FAULT_CLASS] = "is no class or range; write [[:alpha:]] or the like, and of a range the "
			      "smaller end first",
	[REGEX_FAULT_BRACKET] = "has a missing closing ]; write \\[ for the character",
	[REGEX_FAULT_PAREN_OPEN] = "has a missing closing ); write \\( for the character",
	[REGEX_FAULT_PAREN_CLOSE] = "has a ) that closes nothing; write \\) for the character",
	[REGEX_FAULT_BACKSLASH] = "it ends with a backslash; write \\\\ for the character",
	[REGEX_FAULT_REPEAT_NOTHING] = "repeats nothing; write a backslash in front of it for the "
				       "character (there are no verbs such as (*UTF))",
	[REGEX_FAULT_REPEAT_SIZE] = "repeats too often or backwards; at most 1000 times, of one within "
				    "another the product, and the smaller number first",
	[REGEX_FAULT_REPEAT_TWICE] = "repeats a repetition; write one of them (for the possessive a++ "
				     "write a+: nothing is given back here)",
	[REGEX_FAULT_GROUP] = "is no group; there are (?:...), (?P<name>...) and (?i:...); instead of "
			      "looking ahead or behind give what is to be excluded a match of its own",
	[REGEX_FAULT_NAME] = "is no group; write (?P<name>...) or (?:...)",
};

static const char *fault_text(const struct regex_fault *fault)
{
	char letter = fault->kind == REGEX_FAULT_ESCAPE && fault->len > 1 ? fault->part[1] : '\0';

	if (letter == 'g' || letter == 'k' || (letter >= '1' && letter <= '9'))
		return "refers to what a group has fitted, which no engine with a bound on time can do; "
		       "write the values out, as in (?:aa|bb)";
	if (letter == 'x')
		return "is no byte; write \\xHH, and other characters as bytes of UTF-8, as in \\xc3\\xa4";
	return fault_texts[fault->kind];
}

static int fault_refuse(const struct regex_fault *fault, struct text *error)
{
	if (!error)
		return -EINVAL;
	if (fault->kind == REGEX_FAULT_SIZE)
		text_fmt(error,
			 "it has more than %d instructions; count less with {n,m}, or write several shorter "
			 "ones",
			 (int)LIMIT_REGEX_PROGRAM);
	else
		text_fmt(error, "%s%s%s", fault->len ? QUOTE(span_of(fault->part, fault->len)) : "",
			 fault->len ? " " : "", fault_text(fault));
	return -EINVAL;
}

/*
 * Explains escapes that the engine accepts but that would not do what their author expects: values are
 * bytes, and a pattern that silently never matches could admit requests that it should refuse. NULL: none.
 */
static const char *escape_text(struct span pattern)
{
	for (size_t i = 0; i + 1 < pattern.len; i++) {
		if (pattern.data[i] != '\\')
			continue;
		switch (pattern.data[++i]) {
		case 'p':
		case 'P':
			return "\\p is for characters and values are bytes; write [[:alpha:]] or the like, "
			       "or the bytes of their UTF-8";
		case 'C':
			return "\\C is not supported; write (?s:.) for any byte";
		case 'Q':
			while (i + 1 < pattern.len && (pattern.data[i] != '\\' || pattern.data[i + 1] != 'E'))
				i++;
			break;
		}
	}
	return NULL;
}

static int regex_compile(struct match_regex *regex, struct span pattern, size_t memory_bytes,
			 struct text *error)
{
	const char *reason = escape_text(pattern);
	struct regex_fault fault = { .kind = REGEX_FAULT_SIZE };
	int result;

	if (reason) {
		if (error)
			text_str(error, reason);
		return -EINVAL;
	}
	result = regex_engine_create(pattern.len ? pattern.data : "", pattern.len, memory_bytes,
				     &regex->engine, &fault);
	if (result == 0) {
		regex->size = regex_engine_size(regex->engine);
		if (regex->size > LIMIT_REGEX_PROGRAM)
			result = -EINVAL;
	} else {
		regex->engine = NULL;
	}
	return result == -EINVAL ? fault_refuse(&fault, error) : result;
}

size_t match_regex_memory(size_t count)
{
	size_t share = LIMIT_REGEX_TOTAL_BYTES / (count ? count : 1);

	if (share > LIMIT_REGEX_MEMORY_BYTES)
		return LIMIT_REGEX_MEMORY_BYTES;
	return share > LIMIT_REGEX_LEAST_BYTES ? share : LIMIT_REGEX_LEAST_BYTES;
}

int match_regex_create(struct span pattern, size_t memory_bytes, struct match_regex **ret_regex,
		       struct text *error)
{
	struct match_regex *regex;
	int result;

	if (pattern.len > LIMIT_ROUTE_REGEX_BYTES) {
		if (error)
			text_fmt(error, "it has %zu characters, %d are the most; write several shorter ones",
				 pattern.len, (int)LIMIT_ROUTE_REGEX_BYTES);
		return -EINVAL;
	}
	regex = hg_calloc(1, sizeof(*regex));
	if (!regex)
		return -ENOMEM;
	result = regex_compile(regex, pattern, memory_bytes, error);
	if (result < 0) {
		match_regex_free(regex);
		return result;
	}
	*ret_regex = regex;
	return 0;
}

void match_regex_free(void *object)
{
	struct match_regex *regex = object;

	if (!regex)
		return;
	regex_engine_free(regex->engine);
	hg_free(regex);
}

const struct regex_engine *match_regex_engine(const struct match_regex *regex)
{
	return regex->engine;
}

size_t match_regex_size(const struct match_regex *regex)
{
	return regex->size;
}

enum match_result match_regex_run(const struct match_regex *regex, struct span value,
				  struct regex_budget *budget)
{
	const char *data = value.len ? value.data : "";
	int result;

	if (!regex_engine_may_fit(regex->engine, data, value.len))
		return MATCH_NO;
	if (value.len > LIMIT_REGEX_STEPS / regex->size || !regex_budget_take(budget, value.len, regex->size))
		return MATCH_GAVE_UP;
	result = regex_engine_run(regex->engine, data, value.len);
	if (result < 0)
		return MATCH_GAVE_UP;
	return result ? MATCH_YES : MATCH_NO;
}

enum match_result match_regex_search(const struct match_regex *regex, struct span value)
{
	int result;

	if (value.len > LIMIT_REGEX_STEPS / regex->size)
		return MATCH_GAVE_UP;
	result = regex_engine_search(regex->engine, value.len ? value.data : "", value.len);
	if (result < 0)
		return MATCH_GAVE_UP;
	return result ? MATCH_YES : MATCH_NO;
}
