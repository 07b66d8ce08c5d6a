-- release: gives a lease back; the floor stays. ARGV: token, keep in ms.
local r = head()
if r and r.token == ARGV[1] then put_mark(r.at, ARGV[2]) end
return {}
