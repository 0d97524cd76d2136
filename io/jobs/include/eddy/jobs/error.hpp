// What goes wrong with jobs: thrown to whoever asked for a result, and by task functions to say how their job ends.
#pragma once

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <eddy/jobs/json.hpp>

namespace eddy::jobs {

/// The base of this component's errors: a URL that cannot be used, a broker that refuses, a result that is none.
class error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// A message that is not one of the protocol's. It goes to the dead letters, and no worker dies of it.
class malformed_message : public error {
public:
    using error::error;
};

/// `call` and `result`: the job failed. `what()` is "TYPE: MESSAGE".
class task_failed : public error {
public:
    task_failed(std::string type, json arguments, std::string traceback);
    /// The exception's class as the other side names it: "ValueError", "runtime_error".
    [[nodiscard]] const std::string& type() const noexcept { return type_; }
    /// What it was made from: a list; its first element is the message, as a rule.
    [[nodiscard]] const json& arguments() const noexcept { return arguments_; }
    /// Free text, may be empty.
    [[nodiscard]] const std::string& traceback() const noexcept { return traceback_; }

private:
    std::string type_;
    json arguments_;
    std::string traceback_;
};

/// `call` and `result`: the job was revoked, has expired or was terminated; the reason is in `what()`.
class task_revoked : public error {
public:
    using error::error;
};

// --- thrown by task functions

/// The job fails with this class and these arguments, which Python rebuilds if it has such a class:
/// `throw jobs::failure("ValueError", "bad thing", 42)`. Every other exception fails the job, too, under its C++ name.
class failure : public std::runtime_error {
public:
    template <class... A>
    explicit failure(std::string type, A&&... arguments) : failure(std::in_place, std::move(type), list(std::forward<A>(arguments)...)) {}
    [[nodiscard]] const std::string& type() const noexcept { return type_; }
    [[nodiscard]] const json& arguments() const noexcept { return arguments_; }
    /// The Python module of the class; "builtins" unless it is set.
    [[nodiscard]] const std::string& module() const noexcept { return module_; }
    void set_module(std::string name) { module_ = std::move(name); }

private:
    failure(std::in_place_t, std::string type, json arguments);
    template <class... A>
    static json list(A&&... a) {
        json all = json::array();
        (all.push_back(json(std::forward<A>(a))), ...);
        return all;
    }
    std::string type_;
    json arguments_;
    std::string module_ = "builtins";
};

/// Arguments that do not fit the function: which one, what was expected, what came. The job fails with Python's TypeError.
class bad_arguments : public failure {
public:
    explicit bad_arguments(const std::string& message) : failure("TypeError", message) {}
};

/// The job runs again, with the same id: see `context::retry`.
class retry_request : public std::runtime_error {
public:
    retry_request(std::string reason, std::optional<std::chrono::nanoseconds> countdown);
    [[nodiscard]] const std::optional<std::chrono::nanoseconds>& countdown() const noexcept { return countdown_; }

private:
    std::optional<std::chrono::nanoseconds> countdown_;
};

/// The job ends without a result, for which whoever waits does so in vain, and is not run again; `requeue`: it goes back to its queue instead.
class reject : public std::runtime_error {
public:
    explicit reject(const std::string& reason, bool requeue = false) : std::runtime_error(reason), requeue_(requeue) {}
    [[nodiscard]] bool requeue() const noexcept { return requeue_; }

private:
    bool requeue_;
};

/// The job ends here and its result is left as it is.
class ignore : public std::runtime_error {
public:
    ignore() : std::runtime_error("the job was ignored") {}
};

} // namespace eddy::jobs
