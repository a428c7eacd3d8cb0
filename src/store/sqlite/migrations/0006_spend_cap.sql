-- A customer's own ceiling to what it uses beyond its allowance: an amount and a currency, "50.00 USD".
ALTER TABLE customers ADD COLUMN spend_cap TEXT;
