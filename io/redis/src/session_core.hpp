// A connection that nobody else uses.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include <eddy/redis/value.hpp>
#include <eddy/task.hpp>

#include "link.hpp"

namespace eddy::redis::detail {

class session_core {
public:
    session_core(std::shared_ptr<const settings> s, link_pointer l) noexcept : settings_(std::move(s)), link_(std::move(l)) {}

    [[nodiscard]] static task<std::vector<value>> send(std::shared_ptr<session_core> core, std::string wire, std::size_t replies);
    void close() noexcept;

private:
    [[nodiscard]] task<std::vector<value>> converse(std::string_view wire, std::size_t replies);
    [[nodiscard]] task<std::vector<value>> converse_in_time(std::string_view wire, std::size_t replies);

    std::shared_ptr<const settings> settings_;
    link_pointer link_;
    bool busy_ = false;
    bool closed_ = false;
    bool broken_ = false;
};

} // namespace eddy::redis::detail
