#include <eddy/command.hpp>

#include <stdexcept>

namespace eddy {
namespace {

void require_no_nul(const std::string& text, const char* what) {
    if (text.find('\0') == std::string::npos) return;
    throw std::invalid_argument(std::string("command: there is a NUL in ") + what + " '" + text.c_str() + "', which no program could see");
}

void require_variable(const std::string& name) {
    require_no_nul(name, "the variable");
    if (name.empty() || name.find('=') != std::string::npos)
        throw std::invalid_argument("command: '" + name + "' cannot be the name of a variable");
}

// As a shell would want it.
std::string quoted(const std::string& word) {
    constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
    if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
    std::string text = "'";
    for (const char c : word) {
        if (c == '\'')
            text += "'\\''";
        else
            text += c;
    }
    return text + "'";
}

} // namespace

command::command(std::string program, std::vector<std::string> arguments) {
    require_no_nul(program, "the program");
    if (program.empty()) throw std::invalid_argument("command: the program has no name");
    parts_.argv.push_back(std::move(program));
    for (std::string& a : arguments) arg(std::move(a));
}

command command::shell(std::string line) {
    return command("/bin/sh", "-c", std::move(line));
}

command& command::arg(std::string argument) & {
    require_no_nul(argument, "the argument");
    parts_.argv.push_back(std::move(argument));
    return *this;
}

command& command::redirect(int stream, kind to, int descriptor, std::string path) {
    require_no_nul(path, "the path");
    detail::redirection& r = parts_.streams[stream];
    r.to = to;
    r.descriptor = descriptor;
    r.path = std::move(path);
    return *this;
}

command& command::terminal(terminal_size size) & {
    parts_.terminal = size;
    return *this;
}
command& command::directory(std::string path) & {
    require_no_nul(path, "the directory");
    parts_.directory = std::move(path);
    return *this;
}
command& command::env(std::string name, std::string value) & {
    require_variable(name);
    require_no_nul(value, "the value");
    parts_.environment.push_back({std::move(name), std::move(value)});
    return *this;
}
command& command::unset_env(std::string name) & {
    require_variable(name);
    parts_.environment.push_back({std::move(name), std::nullopt});
    return *this;
}
command& command::clear_env() & {
    parts_.clear_environment = true;
    parts_.environment.clear();
    return *this;
}
command& command::inherit(int descriptor) & {
    parts_.inherited.push_back(descriptor);
    return *this;
}
command& command::new_process_group() & {
    parts_.own_group = true;
    return *this;
}
command& command::new_session() & {
    parts_.own_session = true;
    return *this;
}

std::string command::to_string() const {
    std::string text;
    for (const std::string& a : parts_.argv) {
        if (!text.empty()) text += ' ';
        text += quoted(a);
    }
    return text;
}

} // namespace eddy
