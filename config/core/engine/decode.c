/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/engine/decode.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/core/engine/duration.h"
#include "config/core/engine/typo.h"
#include "user/base/check.h"
#include "user/base/limits.h"

/* -------------------------------------------------------------------------------- memory */

void *decode_take(struct decoder *d, size_t count, size_t size_bytes)
{
	void *memory = arena_take(d->arena, count ? count * size_bytes : 1);

	if (!memory)
		d->failed = true;
	return memory;
}

struct span decode_keep(struct decoder *d, struct span s)
{
	struct span copy = arena_copy(d->arena, s);

	if (!copy.data)
		d->failed = true;
	return copy;
}

struct span decode_text(struct decoder *d, const char *format, ...)
{
	va_list arguments;
	char *out;
	int len;

	va_start(arguments, format);
	len = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	out = arena_bytes(d->arena, (size_t)len + 1);
	if (!out) {
		d->failed = true;
		return (struct span){ 0 };
	}
	va_start(arguments, format);
	vsnprintf(out, (size_t)len + 1, format, arguments);
	va_end(arguments);
	return span_of(out, (size_t)len);
}

struct span decode_lower(struct decoder *d, struct span s)
{
	struct span copy = decode_keep(d, s);

	for (size_t i = 0; i < copy.len; i++) {
		char *c = (char *)copy.data + i;

		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c + ('a' - 'A'));
	}
	return copy;
}

/* -------------------------------------------------------------------------------- messages */

const char *decode_found(char out[CONFIG_QUOTE_BYTES], const struct yaml_node *node)
{
	if (node->kind == YAML_SCALAR && !yaml_is_null(node))
		return config_quote(out, node->text);
	return yaml_kind_name(node);
}

/* Messages beyond the limit are dropped: do not compare every key of a file of wrong keys. */
static const char *suggest(const struct decoder *d, struct span word, const char *const *names,
			   size_t name_count)
{
	if (d->report->count[CONFIG_ERROR] >= LIMIT_CONFIG_ERRORS)
		return NULL;
	return typo_meant(word, names, name_count);
}

/* "a, b, c", truncated to the size. */
static const char *join(char *out, size_t size, const char *const *names, size_t name_count)
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < name_count && len + 60 < size; i++)
		len += (size_t)snprintf(out + len, size - len, "%s%s", i ? ", " : "", names[i]);
	return out;
}

/* -------------------------------------------------------------------------------- structure */

static void report_unknown(struct decoder *d, const struct yaml_node *member,
			   const struct decode_key *key_list, size_t key_count)
{
	const char *names[64];
	size_t name_count = 0;
	const char *suggestion, *place;
	char list[1000];

	for (size_t i = 0; i < key_count && name_count < ARRAY_LEN(names); i++)
		if (!key_list[i].refusal)
			names[name_count++] = key_list[i].name;
	place = d->place_of ? d->place_of(member) : NULL;
	suggestion = suggest(d, member->key, names, name_count);
	if (place)
		config_error_key(d->report, member, "unknown key %s; it belongs %s", QUOTE(member->key),
				 place);
	else if (suggestion)
		config_error_key(d->report, member, "unknown key %s; did you mean \"%s\"?",
				 QUOTE(member->key), suggestion);
	else if (d->unknown_is_harmless && d->unknown_is_harmless(member->key))
		config_warning(d->report, member, "unknown key %s has no effect; known here: %s",
			       QUOTE(member->key), join(list, sizeof(list), names, name_count));
	else if (name_count)
		config_error_key(d->report, member, "unknown key %s; known here: %s", QUOTE(member->key),
				 join(list, sizeof(list), names, name_count));
	else
		config_error_key(d->report, member, "unknown key %s; this map has no keys",
				 QUOTE(member->key));
}

/*
 * In a manifest a missing feature concerns only what its object is for: the rest is served. What a key guards
 * is refused by the caller that asks for it with lacks_guard.
 */
static void report_refusal(struct decoder *d, const struct yaml_node *member, const struct decode_key *key)
{
	bool is_guard = span_starts(span_str(key->refusal), SPAN(NOT_YET_GUARD_WORDS));
	bool is_late = d->is_manifest && span_starts(span_str(key->refusal), SPAN(NOT_YET_WORDS));

	if (is_late && is_guard && d->lacks_guard) {
		*d->lacks_guard = true;
		config_warning(d->report, member, "\"%s\" %s. Until then what it is for gets status 500",
			       key->name, key->refusal);
	} else if (key->is_warning || (is_late && !is_guard)) {
		config_warning(d->report, member, "\"%s\" %s", key->name, key->refusal);
	} else {
		config_error_key(d->report, member, "\"%s\" %s", key->name, key->refusal);
	}
}

void decode_lacking(struct decoder *d, const struct yaml_node *node, const char *format, ...)
{
	char sentence[600];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);
	if (!d->lacks_guard) {
		config_error(d->report, node, "%s", sentence);
		return;
	}
	*d->lacks_guard = true;
	config_warning(d->report, node, "%s. Until then what the policy is for gets status 500", sentence);
}

static void check_key(struct decoder *d, const struct yaml_node *member, const struct decode_key *key_list,
		      size_t key_count)
{
	for (size_t i = 0; i < key_count; i++) {
		if (!span_eq(member->key, span_str(key_list[i].name)))
			continue;
		if (key_list[i].refusal)
			report_refusal(d, member, &key_list[i]);
		return;
	}
	report_unknown(d, member, key_list, key_count);
}

bool decode_any_map(struct decoder *d, const struct yaml_node *node)
{
	if (!node)
		return false;
	if (node->kind == YAML_MAP)
		return true;
	config_error(d->report, node, "expected a map, found %s; write \"key: value\" lines, indented below",
		     FOUND(node));
	return false;
}

bool decode_map(struct decoder *d, const struct yaml_node *node, const struct decode_key *key_list,
		size_t key_count)
{
	const struct yaml_node *member;

	if (!node)
		return false;
	if (node->kind != YAML_MAP) {
		config_error(d->report, node, "expected a map, found %s; write \"%s: ...\", indented below",
			     FOUND(node), key_list[0].name);
		return false;
	}
	for (member = node->first; member; member = member->next)
		check_key(d, member, key_list, key_count);
	return true;
}

bool decode_list(struct decoder *d, const struct yaml_node *node)
{
	if (!node)
		return false;
	if (node->kind == YAML_LIST)
		return true;
	config_error(d->report, node, "expected a list, found %s; begin each element with \"- \"",
		     FOUND(node));
	return false;
}

const struct yaml_node *decode_get(const struct yaml_node *map, const char *key)
{
	const struct yaml_node *node = map ? yaml_get(map, span_str(key)) : NULL;

	return node && !yaml_is_null(node) ? node : NULL;
}

/*
 * A misspelt key has been reported with a suggestion: do not report it as missing, too. In an object it has a
 * fault then; a similar key without one is another key, such as `namespace`, or nobody has checked it.
 */
static bool is_misspelt(const struct decoder *d, const struct yaml_node *map, const char *key)
{
	if (d->report->count[CONFIG_ERROR] == 0)
		return false;
	yaml_each(member, map) {
		bool is_reported = member->fault || !d->report->is_per_object;

		if (is_reported && !span_eq(member->key, span_str(key)) && suggest(d, member->key, &key, 1))
			return true;
	}
	return false;
}

const struct yaml_node *decode_need(struct decoder *d, const struct yaml_node *map, const char *key,
				    const char *advice)
{
	const struct yaml_node *node = decode_get(map, key);

	if (!node && map && map->kind == YAML_MAP && !is_misspelt(d, map, key))
		config_error(d->report, map, "\"%s\" is missing; %s", key, advice);
	return node;
}

const struct yaml_node *decode_choice(struct decoder *d, const struct yaml_node *map,
				      const char *const *names, size_t name_count, unsigned *ret_index)
{
	const struct yaml_node *chosen = NULL;
	unsigned index = 0;
	char list[500];

	if (!map || map->kind != YAML_MAP)
		return NULL;
	for (size_t i = 0; i < name_count; i++) {
		const struct yaml_node *node = yaml_get(map, span_str(names[i]));

		if (!node)
			continue;
		if (chosen) {
			config_error_key(d->report, node,
					 "\"%s\" and \"%s\" exclude each other; write only one of them",
					 names[index], names[i]);
			return NULL;
		}
		chosen = node;
		index = (unsigned)i;
	}
	if (chosen) {
		*ret_index = index;
		return chosen;
	}
	for (size_t i = 0; i < name_count; i++)
		if (is_misspelt(d, map, names[i]))
			return NULL;
	config_error(d->report, map, "exactly one of these keys is needed: %s",
		     join(list, sizeof(list), names, name_count));
	return NULL;
}

/* -------------------------------------------------------------------------------- scalars */

static bool all_of(struct span s, const char *set)
{
	for (size_t i = 0; i < s.len; i++)
		if (!s.data[i] || !strchr(set, s.data[i]))
			return false;
	return s.len > 0;
}

/* True if the YAML core schema (YAML 1.2 10.3.2) reads it as something other than a string. */
static bool is_number_or_bool(struct span s)
{
	static const char *const words[] = { "true",  "True", "TRUE",  "false", "False",
					     "FALSE", ".inf", "-.inf", ".nan" };
	struct span rest = s;
	size_t digits = 0;

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (span_eq(s, span_str(words[i])))
			return true;
	if (span_starts(s, SPAN("0x")))
		return all_of(span_from(s, 2), "0123456789abcdefABCDEF");
	if (span_starts(s, SPAN("0o")))
		return all_of(span_from(s, 2), "01234567");
	if (rest.len && (rest.data[0] == '-' || rest.data[0] == '+'))
		rest = span_from(rest, 1);
	for (bool point = false; rest.len; rest = span_from(rest, 1)) {
		if (rest.data[0] >= '0' && rest.data[0] <= '9')
			digits++;
		else if (rest.data[0] == '.' && !point)
			point = true;
		else
			break;
	}
	if (digits && rest.len && (rest.data[0] == 'e' || rest.data[0] == 'E')) {
		rest = span_from(rest, 1);
		if (rest.len && (rest.data[0] == '-' || rest.data[0] == '+'))
			rest = span_from(rest, 1);
		return all_of(rest, "0123456789");
	}
	return digits > 0 && rest.len == 0;
}

bool decode_string(struct decoder *d, const struct yaml_node *node, struct span *ret)
{
	if (!node)
		return false;
	if (node->kind != YAML_SCALAR || yaml_is_null(node)) {
		config_error(d->report, node, "expected a text, found %s", FOUND(node));
		return false;
	}
	if (!node->is_quoted && is_number_or_bool(node->text)) {
		config_error(d->report, node, "expected a text, found %s %.*s; put it in quotes: \"%.*s\"",
			     node->text.data[0] == 't' || node->text.data[0] == 'f' ? "the word"
										    : "the number",
			     SPAN_FMT(span_first(node->text, 40)), SPAN_FMT(span_first(node->text, 40)));
		return false;
	}
	*ret = node->text;
	return true;
}

/* `blanks`: the control characters that it may have. */
static bool decode_printable(struct decoder *d, const struct yaml_node *node, const char *blanks,
			     struct span *ret)
{
	struct span s;

	if (!decode_string(d, node, &s))
		return false;
	if (s.len == 0) {
		config_error(d->report, node, "is empty; write at least one character");
		return false;
	}
	for (size_t i = 0; i < s.len; i++) {
		char c = s.data[i];

		if (((unsigned char)c < 0x20 || c == 0x7f) && (!c || !strchr(blanks, c))) {
			config_error(d->report, node,
				     "%s contains a control character; write a text of one line without it",
				     QUOTE(s));
			return false;
		}
	}
	s = decode_keep(d, s);
	if (!s.data)
		return false;
	*ret = s;
	return true;
}

bool decode_name(struct decoder *d, const struct yaml_node *node, struct span *ret)
{
	return decode_printable(d, node, "", ret);
}

bool decode_lines(struct decoder *d, const struct yaml_node *node, struct span *ret)
{
	return decode_printable(d, node, "\t\r\n", ret);
}

bool decode_bool(struct decoder *d, const struct yaml_node *node, bool *ret)
{
	if (!node)
		return false;
	if (node->kind == YAML_SCALAR && !node->is_quoted) {
		bool is_true = span_eq_nocase(node->text, SPAN("true"));

		if (is_true || span_eq_nocase(node->text, SPAN("false"))) {
			*ret = is_true;
			return true;
		}
	}
	config_error(d->report, node, "expected true or false, found %s", FOUND(node));
	return false;
}

static bool is_leading_zero(struct span s)
{
	return s.len > 1 && s.data[0] == '0';
}

bool decode_u64(struct decoder *d, const struct yaml_node *node, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t value;
	int r;

	if (!node)
		return false;
	if (node->kind != YAML_SCALAR) {
		config_error(d->report, node, "expected a whole number, found %s", FOUND(node));
		return false;
	}
	r = is_leading_zero(node->text) ? -1 : span_parse_u63(node->text, &value);
	if (r == 0 && node->is_quoted) {
		config_error(d->report, node, "expected a whole number, found the text %s; remove the quotes",
			     FOUND(node));
		return false;
	}
	if (r == 0 && value >= min && value <= max) {
		*ret = value;
		return true;
	}
	if (max == INT64_MAX)
		config_error(d->report, node, "expected a whole number of %llu or more, found %s",
			     (unsigned long long)min, FOUND(node));
	else
		config_error(d->report, node, "expected a whole number from %llu to %llu, found %s",
			     (unsigned long long)min, (unsigned long long)max, FOUND(node));
	return false;
}

bool decode_u32(struct decoder *d, const struct yaml_node *node, uint32_t min, uint32_t max, uint32_t *ret)
{
	uint64_t value;

	if (!decode_u64(d, node, min, max, &value))
		return false;
	*ret = (uint32_t)value;
	return true;
}

bool decode_port(struct decoder *d, const struct yaml_node *node, uint16_t *ret)
{
	uint64_t value;

	if (!decode_u64(d, node, 1, UINT16_MAX, &value))
		return false;
	*ret = (uint16_t)value;
	return true;
}

/* A number in the YAML core schema (YAML 1.2 10.3.2), without infinity and NaN. */
static bool parse_decimal(struct span s, double *ret)
{
	char digits[64];
	char *end;

	if (s.len == 0 || s.len >= sizeof(digits) || !is_number_or_bool(s) || !all_of(s, "0123456789.+-eE"))
		return false;
	memcpy(digits, s.data, s.len);
	digits[s.len] = '\0';
	*ret = strtod(digits, &end);
	return *end == '\0';
}

bool decode_fraction(struct decoder *d, const struct yaml_node *node, uint32_t *ret_per_million)
{
	bool is_number, is_percent;
	double value;

	if (!node)
		return false;
	is_number = node->kind == YAML_SCALAR && parse_decimal(node->text, &value);
	is_percent = node->kind == YAML_SCALAR && span_ends(node->text, SPAN("%"));
	if (is_number && !node->is_quoted && value >= 0 && value <= 1) {
		/* Truncate to millionths, but not values whose nearest double is just below one. */
		*ret_per_million = (uint32_t)(value * 1e6 + 1e-4);
		return true;
	}
	config_error(d->report, node, "expected a number from 0.0 to 1.0, found %s%s", FOUND(node),
		     is_number && node->is_quoted ? "; remove the quotes"
		     : is_percent		  ? "; write 0.5 for 50%"
						  : "");
	return false;
}

bool decode_duration(struct decoder *d, const struct yaml_node *node, uint64_t min_ns, uint64_t *ret_ns)
{
	char least[DURATION_TEXT_BYTES];
	enum duration_result result;
	uint64_t ns;

	if (!node)
		return false;
	if (node->kind != YAML_SCALAR) {
		config_error(d->report, node, "expected a duration such as 30s or 500ms, found %s",
			     FOUND(node));
		return false;
	}
	result = d->is_manifest ? duration_parse_gep2257(node->text, &ns) : duration_parse(node->text, &ns);
	if (result != DURATION_OK) {
		config_error(d->report, node, "the duration %s %s", QUOTE(node->text),
			     duration_advice(result));
		return false;
	}
	if (ns < min_ns) {
		config_error(d->report, node, "the duration %s is too short; write %.*s or more",
			     QUOTE(node->text), (int)duration_format(min_ns, least), least);
		return false;
	}
	*ret_ns = ns;
	return true;
}

bool decode_opt_duration(struct decoder *d, const struct yaml_node *node, uint64_t min_ns,
			 struct opt_duration *ret)
{
	uint64_t ns;

	if (!decode_duration(d, node, min_ns, &ns))
		return false;
	*ret = (struct opt_duration){ true, ns };
	return true;
}

bool decode_word(struct decoder *d, const struct yaml_node *node, const char *const *words, size_t word_count,
		 unsigned *ret_index)
{
	const char *suggestion;
	char list[500];

	if (!node)
		return false;
	if (node->kind == YAML_SCALAR) {
		for (size_t i = 0; i < word_count; i++) {
			if (span_eq(node->text, span_str(words[i]))) {
				*ret_index = (unsigned)i;
				return true;
			}
		}
		suggestion = suggest(d, node->text, words, word_count);
		if (suggestion) {
			config_error(d->report, node, "unknown word %s; did you mean %s?", FOUND(node),
				     suggestion);
			return false;
		}
	}
	config_error(d->report, node, "expected one of %s, found %s",
		     join(list, sizeof(list), words, word_count), FOUND(node));
	return false;
}
