/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/config_text.h"

#define GATEWAY(name, more)                                                                                  \
	"{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: " name                   \
	"}, spec: {listeners: [{name: l, port: 80, protocol: HTTP" more "}]}}\n"
#define NAMESPACE(name, more) "{apiVersion: v1, kind: Namespace, metadata: {name: " name more "}}\n"

#define NOT_SERVED "the rest is served; not served as written: "

/* The sentence about some texts, the first called a.yaml. */
static void culprits_are(const char *const *texts, size_t count, const char *expected)
{
	struct config_case c;
	struct text found;

	config_case_texts(&c, texts, count);
	text_init(&found);
	config_report_culprits(&c.report, c.result != 0, &found);
	if (!span_eq(text_span(&found), span_str(expected)))
		fail_msg("\"%.*s\" instead of \"%s\"", SPAN_FMT(text_span(&found)), expected);
	text_done(&found);
	config_case_done(&c);
}

TEST(who_is_to_blame_is_named_once)
{
	static const struct {
		const char *texts[3];
		const char *expected;
	} rows[] = {
		{ { GATEWAY("g", ", foo: 1, bar: 2") "---\n" NAMESPACE("n", "") },
		  NOT_SERVED "Gateway default/g in a.yaml:1:135" },
		{ { GATEWAY("g", ", foo: 1"), GATEWAY("h", ", foo: 1") },
		  NOT_SERVED "Gateway default/g in a.yaml:1:135, Gateway default/h in b.yaml:1:135" },
		{ { NAMESPACE("n", ", labels: []"), GATEWAY("g", "") },
		  NOT_SERVED "Namespace n in a.yaml:1:63" },
		{ { GATEWAY("g", "") "---\n" NAMESPACE("n", ""), "x: ]", "# nothing\n" },
		  "to load the rest, correct or remove b.yaml:1:4" },
		/* Two of one port: removing the second would do. */
		{ { GATEWAY("g", ""), GATEWAY("h", "") }, NOT_SERVED "Gateway default/h in b.yaml:1:99" },
		{ { GATEWAY("g", ""), "config: {bad: 1}\n" },
		  "to load the rest, correct or remove b.yaml:1:10" },
		/* One file, and one error or no objects: it is clear without. */
		{ { GATEWAY("g", "") "---\n" NAMESPACE("n", "") "---\nx: 1\n" }, "" },
		{ { "binds: [{port: 0, listeners: []}]\n" }, "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t count = 0;

		while (count < 3 && rows[i].texts[count])
			count++;
		culprits_are(rows[i].texts, count, rows[i].expected);
	}
}

TEST(many_are_counted)
{
	const char *texts[1];
	struct text text, expected;

	text_init(&text);
	text_init(&expected);
	text_str(&expected, NOT_SERVED);
	for (int i = 0; i < 13; i++) {
		text_fmt(&text,
			 "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g%d}, "
			 "spec: 1}\n---\n",
			 i);
		if (i < 10)
			text_fmt(&expected, "%sGateway default/g%d in a.yaml:%d:87", i ? ", " : "", i,
				 2 * i + 1);
	}
	text_str(&expected, " and 3 more");
	texts[0] = text.data;
	culprits_are(texts, 1, expected.data);
	text_done(&text);
	text_done(&expected);
}

TEST_GROUP(NULL, NULL);
