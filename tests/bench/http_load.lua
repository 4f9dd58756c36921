-- A script of wrk with one thread: posts every line of a file once, as a CloudEvent of Pub/Sub, and prints the times
-- of the first request and the last response.
-- wrk itself stops after a time and drops the requests in flight, so the stored events couldn't be counted exactly.
local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } timespec;
  int clock_gettime(int clock, timespec *now);
]]

local function now()
  local moment = ffi.new("timespec")
  ffi.C.clock_gettime(1, moment) -- CLOCK_MONOTONIC
  return tonumber(moment.seconds) + tonumber(moment.nanoseconds) / 1e9
end

local headers = {
  ["content-type"] = "application/json",
  ["ce-id"] = "bench",
  ["ce-source"] = "//pubsub.googleapis.com/projects/bench/topics/events",
  ["ce-specversion"] = "1.0",
  ["ce-type"] = "google.cloud.pubsub.topic.v1.messagePublished",
}
local requests, claimed, sent, answered, failed, started = {}, 0, 0, 0, 0, nil

function init(arguments)
  for line in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("POST", "/", headers, line)
  end
end

-- Called before each request of a connection; a connection without a further request waits until wrk ends.
function delay()
  claimed = claimed + 1
  return claimed > #requests and 1e9 or 0
end

function request()
  if claimed == 0 then return requests[1] end -- wrk requests one before it starts
  started = started or now()
  sent = sent + 1
  return requests[sent]
end

function response(status)
  answered = answered + 1
  if status < 200 or status >= 300 then failed = failed + 1 end
  if answered == #requests then
    io.write(string.format("answered %d failed %d from %.6f to %.6f\n", answered, failed, started, now()))
    io.flush()
    wrk.thread:stop()
  end
end
