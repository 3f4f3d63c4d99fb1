/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "user/base/check.h"
#include "user/mcp/protocol/id_scan.h"

static const struct {
	const char *text;
	uint64_t id;
} rows[] = {
	{ "{\"jsonrpc\":\"2.0\",\"id\":12,\"result\":{\"id\":3,\"a\":[{\"id\":4}]}}", 12 },
	{ "{\"result\":{\"text\":\"\\\"id\\\":7, \\\\\"}, \"id\" : 12 }", 12 },
	{ "{\"error\":{\"code\":1},\"id\":9007199254740991}", 9007199254740991 },
	/* No answer of ours: a request, no object, no number. */
	{ "{\"id\":12,\"method\":\"x\",\"params\":{}}", 0 },
	{ "{\"method\":\"x\",\"id\":12}", 0 },
	{ "[{\"id\":12}]", 0 },
	{ "\"id\":12", 0 },
	{ "{\"id\":\"12\"}", 0 },
	{ "{\"id\":1.5}", 0 },
	{ "{\"id\":-1}", 0 },
	{ "{\"id\":null}", 0 },
	{ "{\"id\":9007199254740992}", 0 },
	{ "{\"id\":99999999999999999999999999}", 0 },
	{ "{\"xid\":12,\"id12345678\":5,\"a\":\"id\",\"b\":12}", 0 },
	{ "]]}}{\"id\":12}", 12 },
	{ "", 0 },
};

TEST(the_id_of_an_answer_is_found_in_any_pieces)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span text = span_str(rows[i].text);

		for (size_t cut = 0; cut <= text.len; cut++) {
			struct mcp_id_scan scan;

			mcp_id_scan_init(&scan);
			mcp_id_scan_take(&scan, span_first(text, cut));
			mcp_id_scan_take(&scan, span_from(text, cut));
			if (mcp_id_scan_call(&scan) != rows[i].id)
				fail_msg("row %zu, cut at %zu: %llu", i, cut,
					 (unsigned long long)mcp_id_scan_call(&scan));
		}
	}
}
