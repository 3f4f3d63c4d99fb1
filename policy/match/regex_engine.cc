/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/match/regex_engine.h"

#include <errno.h>

#include <new>
#include <string>
#include <vector>

#include <re2/re2.h>
#include <re2/set.h>

extern "C" {
#include "user/base/mem.h"
}

/* No exception leaves this file: the only one of the library is lack of memory. */
struct regex_engine {
	re2::RE2 compiled;
	/* All matching texts are between these two, in byte order. */
	bool has_range = false;
	std::string least, most;

	regex_engine(re2::StringPiece pattern, const re2::RE2::Options &options) : compiled(pattern, options)
	{
	}
};

static enum regex_fault_kind fault_kind(re2::RE2::ErrorCode code)
{
	switch (code) {
	case re2::RE2::ErrorBadEscape:
		return REGEX_FAULT_ESCAPE;
	case re2::RE2::ErrorBadCharClass:
	case re2::RE2::ErrorBadCharRange:
		return REGEX_FAULT_CLASS;
	case re2::RE2::ErrorMissingBracket:
		return REGEX_FAULT_BRACKET;
	case re2::RE2::ErrorMissingParen:
		return REGEX_FAULT_PAREN_OPEN;
	case re2::RE2::ErrorUnexpectedParen:
		return REGEX_FAULT_PAREN_CLOSE;
	case re2::RE2::ErrorTrailingBackslash:
		return REGEX_FAULT_BACKSLASH;
	case re2::RE2::ErrorRepeatArgument:
		return REGEX_FAULT_REPEAT_NOTHING;
	case re2::RE2::ErrorRepeatSize:
		return REGEX_FAULT_REPEAT_SIZE;
	case re2::RE2::ErrorRepeatOp:
		return REGEX_FAULT_REPEAT_TWICE;
	case re2::RE2::ErrorBadPerlOp:
		return REGEX_FAULT_GROUP;
	case re2::RE2::ErrorBadNamedCapture:
		return REGEX_FAULT_NAME;
	case re2::RE2::ErrorPatternTooLarge:
		return REGEX_FAULT_SIZE;
	default:
		return REGEX_FAULT_OTHER;
	}
}

/*
 * The library converts bytes to UTF-8 before it parses, and quotes that: C2 and C3 stand for the high half.
 */
static void fault_quote(const std::string &text, struct regex_fault *fault)
{
	fault->len = 0;
	for (size_t i = 0; i < text.size() && fault->len < sizeof(fault->part); i++) {
		unsigned char c = static_cast<unsigned char>(text[i]);

		if ((c == 0xc2 || c == 0xc3) && i + 1 < text.size())
			c = static_cast<unsigned char>(text[++i] | (c & 1 ? 0x40 : 0));
		fault->part[fault->len++] = static_cast<char>(c);
	}
}

/* Latin-1: `.` and negated classes match every byte, also invalid UTF-8. */
static re2::RE2::Options engine_options(size_t memory_bytes)
{
	re2::RE2::Options options;

	options.set_encoding(re2::RE2::Options::EncodingLatin1);
	options.set_log_errors(false);
	options.set_never_capture(true);
	options.set_max_mem(static_cast<int64_t>(memory_bytes));
	return options;
}

/* A range needs more memory than a match: use a separate program and free it. */
static void engine_find_range(struct regex_engine *engine)
{
	enum { RANGE_BYTES = 32, MEMORY_BYTES = 512 * 1024 };
	re2::RE2 roomy(engine->compiled.pattern(), engine_options(MEMORY_BYTES));

	engine->has_range =
		roomy.ok() && roomy.PossibleMatchRange(&engine->least, &engine->most, RANGE_BYTES);
}

static int engine_judge(struct regex_engine *engine, struct regex_fault *fault)
{
	if (engine->compiled.ok()) {
		engine_find_range(engine);
		return 0;
	}
	fault->kind = fault_kind(engine->compiled.error_code());
	fault_quote(fault->kind == REGEX_FAULT_OTHER ? engine->compiled.error()
						     : engine->compiled.error_arg(),
		    fault);
	return -EINVAL;
}

int regex_engine_create(const char *pattern, size_t len, size_t memory_bytes,
			struct regex_engine **ret_engine, struct regex_fault *ret_fault)
{
	void *place = hg_malloc(sizeof(struct regex_engine));
	int result;

	if (!place)
		return -ENOMEM;
	try {
		*ret_engine = new (place)
			regex_engine(re2::StringPiece(pattern, len), engine_options(memory_bytes));
	} catch (...) {
		hg_free(place);
		return -ENOMEM;
	}
	try {
		result = engine_judge(*ret_engine, ret_fault);
	} catch (...) {
		result = -ENOMEM;
	}
	if (result < 0)
		regex_engine_free(*ret_engine);
	return result;
}

void regex_engine_free(struct regex_engine *engine)
{
	if (!engine)
		return;
	engine->~regex_engine();
	hg_free(engine);
}

size_t regex_engine_size(const struct regex_engine *engine)
{
	return static_cast<size_t>(engine->compiled.ProgramSize());
}

static int engine_match(const struct regex_engine *engine, const char *value, size_t len,
			re2::RE2::Anchor anchor)
{
	try {
		return engine->compiled.Match(re2::StringPiece(value, len), 0, len, anchor, nullptr, 0);
	} catch (...) {
		return -ENOMEM;
	}
}

int regex_engine_run(const struct regex_engine *engine, const char *value, size_t len)
{
	return engine_match(engine, value, len, re2::RE2::ANCHOR_BOTH);
}

int regex_engine_search(const struct regex_engine *engine, const char *value, size_t len)
{
	return engine_match(engine, value, len, re2::RE2::UNANCHORED);
}

bool regex_engine_may_fit(const struct regex_engine *engine, const char *value, size_t len)
{
	re2::StringPiece text(value, len);

	return !engine->has_range || (text.compare(engine->least) >= 0 && text.compare(engine->most) <= 0);
}

struct regex_engine_union {
	re2::RE2::Set set;

	explicit regex_engine_union(size_t memory_bytes)
	    : set(engine_options(memory_bytes), re2::RE2::ANCHOR_BOTH)
	{
	}
};

static int union_fill(struct regex_engine_union *engine, const struct regex_engine *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (engine->set.Add(list[i]->compiled.pattern(), nullptr) != static_cast<int>(i))
			return -E2BIG;
	}
	return engine->set.Compile() ? 0 : -E2BIG;
}

int regex_engine_union_create(const struct regex_engine *const *list, size_t count, size_t memory_bytes,
			      struct regex_engine_union **ret_engine)
{
	void *place = hg_malloc(sizeof(struct regex_engine_union));
	struct regex_engine_union *engine;
	int result;

	if (!place)
		return -ENOMEM;
	try {
		engine = new (place) regex_engine_union(memory_bytes);
	} catch (...) {
		hg_free(place);
		return -ENOMEM;
	}
	try {
		result = union_fill(engine, list, count);
	} catch (...) {
		result = -ENOMEM;
	}
	if (result == 0)
		*ret_engine = engine;
	else
		regex_engine_union_free(engine);
	return result;
}

void regex_engine_union_free(struct regex_engine_union *engine)
{
	if (!engine)
		return;
	engine->~regex_engine_union();
	hg_free(engine);
}

int regex_engine_union_run(const struct regex_engine_union *engine, const char *value, size_t len,
			   uint32_t *fits, size_t room)
{
	try {
		re2::RE2::Set::ErrorInfo error = { re2::RE2::Set::kNoError };
		std::vector<int> found;

		if (!engine->set.Match(re2::StringPiece(value, len), &found, &error))
			return error.kind == re2::RE2::Set::kNoError ? 0 : -ENOMEM;
		if (found.size() > room)
			return -ENOSPC;
		for (size_t i = 0; i < found.size(); i++)
			fits[i] = static_cast<uint32_t>(found[i]);
		return static_cast<int>(found.size());
	} catch (...) {
		return -ENOMEM;
	}
}
