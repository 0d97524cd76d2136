#include <eddy/http/router.hpp>

#include <functional>
#include <map>
#include <set>
#include <stdexcept>
#include <vector>

#include "response_writer.hpp"

namespace eddy::http {
namespace detail {
namespace {

/// A part of a pattern between two slashes.
class pattern_part {
public:
    enum class kind { literal, one, rest };
    kind what = kind::literal;
    std::string text; // as it is to be found in a path, decoded; or the name
};

[[noreturn]] void refuse(std::string_view pattern, const char* why) {
    throw std::invalid_argument("http::router: cannot use the pattern '" + std::string(pattern) + "': " + why);
}

[[nodiscard]] pattern_part parse_part(std::string_view text, std::string_view pattern) {
    pattern_part p;
    if (text.find_first_of("{}") == std::string_view::npos) {
        p.text = decode_path(text);
        return p;
    }
    if (!text.starts_with('{') || !text.ends_with('}')) refuse(pattern, "a {parameter} is a whole part between slashes");
    text = text.substr(1, text.size() - 2);
    p.what = text.ends_with("...") ? pattern_part::kind::rest : pattern_part::kind::one;
    if (p.what == pattern_part::kind::rest) text.remove_suffix(3);
    if (!is_token(text)) refuse(pattern, "a {parameter} needs a name of letters and digits");
    p.text = text;
    return p;
}

[[nodiscard]] std::vector<pattern_part> parse_pattern(std::string_view pattern) {
    if (!pattern.starts_with('/')) refuse(pattern, "it does not begin with '/'");
    if (pattern.find_first_of("?#") != std::string_view::npos) refuse(pattern, "it is about paths, without query or fragment");
    std::vector<pattern_part> parts;
    std::string_view rest = pattern.substr(1);
    for (bool more = true; more;) {
        const std::size_t slash = rest.find('/');
        more = slash != std::string_view::npos;
        pattern_part p = parse_part(rest.substr(0, slash), pattern);
        if (p.what == pattern_part::kind::rest && more) refuse(pattern, "nothing can follow a {parameter...}");
        for (const pattern_part& before : parts) {
            if (p.what != pattern_part::kind::literal && before.what != pattern_part::kind::literal && before.text == p.text)
                refuse(pattern, "two of its parameters have the same name");
        }
        parts.push_back(std::move(p));
        if (more) rest.remove_prefix(slash + 1);
    }
    return parts;
}

} // namespace

/// What one method does at a path.
class route {
public:
    handler_function handler;
    std::vector<std::string> names; // of the parameters, in their order
};

class route_node {
public:
    /// The route for a method, or for GET where it is HEAD; null if there is none.
    [[nodiscard]] const route* for_method(std::string_view method) const noexcept {
        auto found = routes.find(method);
        if (found == routes.end() && method == "HEAD") found = routes.find("GET");
        return found == routes.end() ? nullptr : &found->second;
    }

    std::map<std::string, std::unique_ptr<route_node>, std::less<>> literals;
    std::unique_ptr<route_node> one;  // for {name}
    std::unique_ptr<route_node> rest; // for {name...}
    std::map<std::string, route, std::less<>> routes; // by method
};

using method_set = std::set<std::string, std::less<>>;

class route_tree {
public:
    void insert(std::string_view method, std::string_view pattern, handler_function handler);
    /// The route that takes this path and method, with the values of its parameters; null if there is none.
    [[nodiscard]] const route* find(std::string_view path, std::string_view method, std::vector<std::string>& values) const {
        const route* found = nullptr;
        visit(root_, path.substr(1), values, [&](const route_node& n) { return (found = n.for_method(method)) != nullptr; });
        return found;
    }
    /// All methods that some route takes at this path.
    [[nodiscard]] method_set methods(std::string_view path) const {
        method_set all;
        std::vector<std::string> values;
        visit(root_, path.substr(1), values, [&](const route_node& n) {
            for (const auto& [method, unused] : n.routes) all.insert(method);
            return false;
        });
        return all;
    }

    handler_function otherwise;

private:
    using visitor = std::function<bool(const route_node&)>;
    static bool visit(const route_node& from, std::string_view rest, std::vector<std::string>& values, const visitor& enough);
    route_node root_;
};

void route_tree::insert(std::string_view method, std::string_view pattern, handler_function handler) {
    if (!is_token(method)) throw std::invalid_argument("http::router: '" + std::string(method) + "' is no method");
    route added;
    route_node* at = &root_;
    for (pattern_part& p : parse_pattern(pattern)) {
        std::unique_ptr<route_node>& next = p.what == pattern_part::kind::literal ? at->literals[p.text]
                                            : p.what == pattern_part::kind::one   ? at->one
                                                                                  : at->rest;
        if (!next) next = std::make_unique<route_node>();
        if (p.what != pattern_part::kind::literal) added.names.push_back(std::move(p.text));
        at = next.get();
    }
    added.handler = std::move(handler);
    if (!at->routes.try_emplace(std::string(method), std::move(added)).second)
        throw std::logic_error("http::router: there is a route for " + std::string(method) + " " + std::string(pattern) + " already");
}

// The nodes that take a path, the more specific ones first, until it is enough: then true, and the values are that node's.
bool route_tree::visit(const route_node& from, std::string_view rest, std::vector<std::string>& values, const visitor& enough) {
    const std::size_t slash = rest.find('/');
    const bool last = slash == std::string_view::npos;
    const std::string part = decode_path(rest.substr(0, slash));
    auto go_on = [&](const route_node& next) { return last ? enough(next) : visit(next, rest.substr(slash + 1), values, enough); };
    if (const auto literal = from.literals.find(part); literal != from.literals.end() && go_on(*literal->second)) return true;
    if (from.one && !part.empty()) {
        values.push_back(part);
        if (go_on(*from.one)) return true;
        values.pop_back();
    }
    if (!from.rest) return false;
    values.push_back(decode_path(rest));
    if (enough(*from.rest)) return true;
    values.pop_back();
    return false;
}

namespace {

[[nodiscard]] response not_allowed(method_set methods, bool options) {
    if (methods.contains("GET")) methods.insert("HEAD");
    methods.insert("OPTIONS");
    std::string allowed;
    for (const std::string& m : methods) allowed.append(allowed.empty() ? "" : ", ").append(m);
    return (options ? response(204) : error_response(405, {})).set("Allow", allowed);
}

} // namespace
} // namespace detail

router::router() : routes_(std::make_unique<detail::route_tree>()) {}
router::router(router&&) noexcept = default;
router& router::operator=(router&&) noexcept = default;
router::~router() = default;

void router::insert(std::string_view method, std::string_view pattern, detail::handler_function handler) {
    routes_->insert(method, pattern, std::move(handler));
}

void router::set_otherwise(detail::handler_function handler) {
    routes_->otherwise = std::move(handler);
}

task<response> router::operator()(request q) {
    body_reader body(std::exchange(q.body, std::string()));
    task<response> answer = (*this)(std::move(q), body);
    co_return co_await std::move(answer);
}

task<response> router::operator()(request q, body_reader& body) {
    std::vector<std::string> values;
    const std::string path(q.path());
    const bool is_path = path.starts_with('/');
    const detail::route* to = is_path ? routes_->find(path, q.method, values) : nullptr;
    if (!to) {
        detail::method_set methods;
        if (is_path) methods = routes_->methods(path);
        if (!methods.empty()) co_return detail::not_allowed(std::move(methods), q.method == "OPTIONS");
        if (routes_->otherwise) co_return co_await routes_->otherwise(std::move(q), body);
        co_return detail::error_response(404, {});
    }
    for (std::size_t i = 0; i < values.size(); ++i) q.path_parameters.emplace_back(to->names[i], std::move(values[i]));
    co_return co_await to->handler(std::move(q), body);
}

} // namespace eddy::http
