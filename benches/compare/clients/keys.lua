-- wrk's script: requests with keys from a file, written out beforehand so that wrk itself costs little.
-- Arguments: the file of keys ("-" for none), the number of threads.

local threads = {}

function setup(thread)
    thread:set("number", #threads)
    table.insert(threads, thread)
end

function init(args)
    requests, count = {}, 0
    if args[1] == "-" then
        count = 1
        requests[1] = wrk.format("GET")
    else
        for key in io.lines(args[1]) do
            count = count + 1
            requests[count] = wrk.format("GET", nil, { ["X-Api-Key"] = key, ["Host"] = wrk.headers["Host"] })
        end
    end
    at = math.floor(count * number / tonumber(args[2]))
end

function request()
    at = at + 1
    if at > count then
        at = 1
    end
    return requests[at]
end

function done(summary, latency, all)
    local e = summary.errors
    io.write(string.format(
        'RESULT {"requests":%d,"microseconds":%d,"refused":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d,"p50":%d,"p99":%d}\n',
        summary.requests, summary.duration, e.status, e.connect, e.read, e.write, e.timeout,
        latency:percentile(50), latency:percentile(99)))
end
