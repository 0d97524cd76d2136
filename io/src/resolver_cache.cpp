#include <eddy/resolver_cache.hpp>

#include <netdb.h>

#include <algorithm>
#include <exception>
#include <map>
#include <optional>
#include <utility>

#include <eddy/detail/duration.hpp>
#include <eddy/errors.hpp>
#include <eddy/event.hpp>
#include <eddy/loop_clock.hpp>
#include <eddy/resolve.hpp>
#include <eddy/spawn.hpp>
#include <eddy/this_task.hpp>

#include "look_up.hpp"

namespace eddy {
namespace {

using endpoint_list = std::vector<ip_endpoint>;

/// A look-up, and what came of it. Whoever waits for it keeps it.
struct answer {
    event known;
    bool cancelled = false; // the loop shuts down: whoever still wants to know has to ask by himself
    std::exception_ptr error;
    endpoint_list endpoints;
    loop_clock::time_point until;
    std::uint64_t last_use = 0;
};
using answer_ptr = std::shared_ptr<answer>;

char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string lower_case(std::string_view s) {
    std::string out(s);
    std::transform(out.begin(), out.end(), out.begin(), lower);
    return out;
}

/// A letter that differs where the options do.
char letter_of(const resolve_options& o) noexcept {
    const int flags = (o.passive ? 4 : 0) + (o.numeric_host ? 8 : 0) + (o.numeric_service ? 16 : 0) + (o.datagram ? 32 : 0);
    return static_cast<char>('@' + static_cast<int>(o.family) + flags); // at most '~'
}

/// Host, service and options: neither of the first two has a NUL in it.
std::string key_of(const std::string& host, const std::string& service, const resolve_options& options) {
    std::string key = lower_case(host);
    key += '\0';
    key += service;
    key += '\0';
    return key += letter_of(options);
}

bool is_of_host(const std::string& key, const std::string& host) noexcept {
    return key.size() > host.size() && key[host.size()] == '\0' && key.starts_with(host);
}

} // namespace

class resolver_cache::answers {
public:
    answers(resolver_cache_options o, look_up_function f) : options_(o), look_up_(std::move(f)) {}

    /// One that is known and not too old, or is on its way; null: there is none.
    [[nodiscard]] answer_ptr find(const std::string& key) {
        const auto it = all_.find(key);
        if (it == all_.end()) return nullptr;
        answer& a = *it->second;
        if (!a.known.is_set()) {
            ++stats_.shared;
        } else if (loop_clock::now() < a.until) {
            ++stats_.hits;
            a.last_use = ++uses_;
        } else {
            all_.erase(it);
            return nullptr;
        }
        return it->second;
    }
    [[nodiscard]] static answer_ptr ask(const std::shared_ptr<answers>& self, const std::string& key, const std::string& host,
                                        const std::string& service, const resolve_options& options) {
        const answer_ptr a = std::make_shared<answer>();
        self->all_.emplace(key, a);
        try {
            spawn(&look_up, {.name = "resolver_cache"}, self, a, key, host, service, options);
        } catch (...) {
            self->drop(key, a);
            throw;
        }
        return a;
    }
    /// A member function that is a coroutine would refer to an object that may go.
    [[nodiscard]] static task<endpoint_list> ask_alone(std::shared_ptr<answers> self, std::string host, std::string service,
                                                       resolve_options options) {
        task<endpoint_list> asking = self->look_up_(host, service, options);
        endpoint_list found = co_await std::move(asking);
        const auto is_other = [&](const ip_endpoint& e) { return options.family != address_family::any && e.family() != options.family; };
        if (std::erase_if(found, is_other) > 0 && found.empty())
            throw resolve_error(EAI_ADDRFAMILY, resolve_category(), "cannot look up '" + host + "' (service " + service + ", " +
                                                                        std::string(to_string(options.family)) + " only)");
        co_return found;
    }
    void clear() noexcept { all_.clear(); }
    void forget(std::string_view host) {
        const std::string lower = lower_case(host);
        std::erase_if(all_, [&](const auto& e) { return is_of_host(e.first, lower); });
    }
    [[nodiscard]] resolver_cache_stats stats() const noexcept {
        resolver_cache_stats s = stats_;
        s.entries = known();
        return s;
    }

private:
    static task<> look_up(std::shared_ptr<answers> self, answer_ptr a, std::string key, std::string host, std::string service,
                          resolve_options options) {
        ++self->stats_.look_ups;
        try {
            a->endpoints = co_await ask_alone(self, std::move(host), std::move(service), options);
        } catch (const operation_cancelled&) {
            a->cancelled = true;
        } catch (...) {
            a->error = std::current_exception();
            ++self->stats_.failures;
        }
        self->settle(key, a);
    }
    void settle(const std::string& key, const answer_ptr& a) noexcept {
        if (a->error || a->cancelled) drop(key, a);
        a->until = detail::after(loop_clock::now(), options_.time_to_live);
        a->last_use = ++uses_;
        a->known.set();
        while (known() > options_.capacity) drop_oldest();
    }
    /// Unless it was forgotten meanwhile.
    void drop(const std::string& key, const answer_ptr& a) noexcept {
        const auto it = all_.find(key);
        if (it != all_.end() && it->second == a) all_.erase(it);
    }
    [[nodiscard]] std::size_t known() const noexcept {
        const auto is_known = [](const auto& e) { return e.second->known.is_set(); };
        return static_cast<std::size_t>(std::count_if(all_.begin(), all_.end(), is_known));
    }
    // A look at each of them, after a look-up on another thread: that is nothing.
    void drop_oldest() noexcept {
        auto oldest = all_.end();
        for (auto it = all_.begin(); it != all_.end(); ++it) {
            if (!it->second->known.is_set()) continue;
            if (oldest == all_.end() || it->second->last_use < oldest->second->last_use) oldest = it;
        }
        all_.erase(oldest);
    }

    resolver_cache_options options_;
    look_up_function look_up_;
    std::map<std::string, answer_ptr> all_; // by host, service and options; known, or on their way
    std::uint64_t uses_ = 0;
    resolver_cache_stats stats_;
};

resolver_cache::resolver_cache(resolver_cache_options options) : resolver_cache(options, &eddy::resolve) {}
resolver_cache::resolver_cache(resolver_cache_options options, look_up_function look_up)
    : answers_(std::make_shared<answers>(options, std::move(look_up))) {}
resolver_cache::resolver_cache(resolver_cache_options options, name_function look_up)
    : resolver_cache(options, look_up_function([ask = std::move(look_up)](std::string host, std::string service, resolve_options) {
          return ask(std::move(host), std::move(service));
      })) {}
resolver_cache::~resolver_cache() = default;

task<std::vector<ip_endpoint>> resolver_cache::resolve(std::string host, std::string service, resolve_options options) {
    const std::shared_ptr<answers> all = answers_; // the cache may go meanwhile
    detail::check_look_up(host, service, options);
    if (const std::optional<ip_endpoint> e = detail::literal_endpoint(host, service)) co_return endpoint_list(1, *e);
    co_await this_task::checkpoint();
    const std::string key = key_of(host, service, options);
    answer_ptr a = all->find(key);
    if (!a) a = answers::ask(all, key, host, service, options);
    co_await a->known.wait();
    if (a->cancelled) co_return co_await answers::ask_alone(all, std::move(host), std::move(service), options);
    if (a->error) std::rethrow_exception(a->error);
    co_return a->endpoints;
}

void resolver_cache::clear() noexcept {
    answers_->clear();
}
void resolver_cache::forget(std::string_view host) {
    answers_->forget(host);
}
resolver_cache_stats resolver_cache::stats() const noexcept {
    return answers_->stats();
}

} // namespace eddy
