/* SPDX-License-Identifier: Apache-2.0 */
#include "user/stream/call_hold.h"

#include "user/callout/callout.h"
#include "user/stream/stream.h"

void stream_drop_call(struct stream *stream)
{
	struct exchange *exchange = stream->exchange;

	if (exchange)
		service_call_drop(&exchange->call);
}
